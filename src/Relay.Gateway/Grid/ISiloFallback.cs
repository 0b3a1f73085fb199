namespace Relay.Gateway.Grid;

/// <summary>Who else takes a delivery when a session's own silo does not: every silo can store what a gateway says of its sessions.</summary>
internal interface ISiloFallback
{
    /// <summary>Silos that can be asked now, best first, without <paramref name="own"/>.</summary>
    IEnumerable<SiloLink> Besides(SiloLink own);
}
