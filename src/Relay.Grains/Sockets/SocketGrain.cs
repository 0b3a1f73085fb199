using System.Collections.Immutable;
using Orleans;

namespace Relay.Grains.Sockets;

/// <summary>The latest report of each silo.</summary>
[GrainType("socket")]
internal sealed class SocketGrain(TimeProvider time) : Grain, ISocketGrain
{
    private readonly Dictionary<Guid, (ImmutableArray<WayLoad> Ways, long HeardAt)> _silos = [];

    public Task<SocketLoad> ReportAsync(SocketLoad mine, CancellationToken cancellationToken)
    {
        if (mine.Ways.IsDefaultOrEmpty)
            _silos.Remove(mine.Silo);
        else
            _silos[mine.Silo] = (mine.Ways, time.GetTimestamp());
        var others = new Dictionary<(Guid, string), int>();
        foreach (var (silo, report) in _silos)
        {
            // A dictionary allows removal while it is enumerated.
            if (time.GetElapsedTime(report.HeardAt) > ISocketGrain.ForgetAfter)
                _silos.Remove(silo);
            else if (silo != mine.Silo)
                Add(others, report.Ways);
        }

        return Task.FromResult(new SocketLoad(Guid.Empty, [.. others.Select(o => new WayLoad(o.Key.Item1, o.Key.Item2, o.Value))]));
    }

    private static void Add(Dictionary<(Guid, string), int> sum, ImmutableArray<WayLoad> ways)
    {
        foreach (var way in ways)
            sum[(way.ConnectorId, way.Target)] = sum.GetValueOrDefault((way.ConnectorId, way.Target)) + way.Streams;
    }
}
