using Relay.GrainHost.Hosting;
using Relay.GrainHost.Links;
using Relay.Silo.Grid;

namespace Relay.Silo.GrainHosting;

/// <summary>Grain calls that arrive on the grid's port.</summary>
internal sealed class GrainLinks(GrainSilo silo) : IGrainLinks
{
    public Task AcceptAsync(Stream stream, string peerName, CancellationToken cancellationToken) => silo.AcceptAsync(stream, peerName, cancellationToken);
}

/// <summary>Grain calls to other silos: raw TLS to their grid's port.</summary>
internal sealed class GrainLinkTransport(SiloLinks links) : ISiloTransport
{
    public ValueTask<Stream> ConnectAsync(string siloAddress, CancellationToken cancellationToken) => links.ConnectAsync(siloAddress, cancellationToken);
}

/// <summary>Leaving, as the built-in host does it.</summary>
internal sealed class GridLeaving(GrainSilo silo) : IGridLeaving
{
    public event Action? Evicted
    {
        add => silo.Evicted += value;
        remove => silo.Evicted -= value;
    }

    public Task LeaveAsync(CancellationToken cancellationToken) => silo.DrainAsync(cancellationToken);
}
