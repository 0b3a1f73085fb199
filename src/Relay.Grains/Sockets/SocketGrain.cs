using System.Collections.Immutable;
using Orleans;

namespace Relay.Grains.Sockets;

/// <summary>Transient counts. A lost activation is refilled by the silos' reports.</summary>
[GrainType("socket")]
internal sealed class SocketGrain(TimeProvider time) : Grain, ISocketGrain
{
    private readonly Dictionary<Guid, (Guid Connector, long SeenAt)> _sessions = [];
    private int _turn;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        this.RegisterGrainTimer(Forget, ISocketGrain.ReportEvery, ISocketGrain.ReportEvery);
        return Task.CompletedTask;
    }

    public Task SessionStartedAsync(SocketSession session, CancellationToken cancellationToken)
    {
        Count(session);
        return Task.CompletedTask;
    }

    public Task SessionEndedAsync(Guid sessionId, CancellationToken cancellationToken)
    {
        _sessions.Remove(sessionId);
        return Task.CompletedTask;
    }

    public Task SessionsAliveAsync(ImmutableArray<SocketSession> sessions, CancellationToken cancellationToken)
    {
        foreach (var session in sessions.IsDefault ? [] : sessions) Count(session);
        return Task.CompletedTask;
    }

    public Task<Guid?> ChooseConnectorAsync(ImmutableArray<Guid> candidates, CancellationToken cancellationToken)
    {
        if (candidates.IsDefaultOrEmpty) return Task.FromResult<Guid?>(null);
        var counts = CountByConnector();
        // Equal candidates take turns, so that a burst of first sessions is spread.
        var start = _turn++ & int.MaxValue;
        var best = Guid.Empty;
        var fewest = int.MaxValue;
        for (var i = 0; i < candidates.Length; i++)
        {
            var candidate = candidates[(int)(((long)start + i) % candidates.Length)];
            var count = counts.GetValueOrDefault(candidate);
            if (count >= fewest) continue;
            (best, fewest) = (candidate, count);
        }

        return Task.FromResult<Guid?>(best);
    }

    public Task<SocketLoad> GetLoadAsync(CancellationToken cancellationToken) => Task.FromResult(new SocketLoad(
        _sessions.Count,
        [.. CountByConnector().Select(pair => new ConnectorLoad(pair.Key, pair.Value)).OrderBy(load => load.ConnectorId)]));

    private void Count(SocketSession session) => _sessions[session.SessionId] = (session.ConnectorId, time.GetTimestamp());

    private Dictionary<Guid, int> CountByConnector()
    {
        var counts = new Dictionary<Guid, int>();
        foreach (var (connector, _) in _sessions.Values) counts[connector] = counts.GetValueOrDefault(connector) + 1;
        return counts;
    }

    private Task Forget()
    {
        foreach (var (id, entry) in _sessions)
        {
            // A dictionary allows removal while it is enumerated.
            if (time.GetElapsedTime(entry.SeenAt) > ISocketGrain.ForgetAfter) _sessions.Remove(id);
        }

        return Task.CompletedTask;
    }
}
