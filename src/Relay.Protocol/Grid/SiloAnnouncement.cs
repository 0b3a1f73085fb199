namespace Relay.Protocol.Grid;

/// <summary>One silo as the grid announces it to gateways and connectors.</summary>
/// <param name="Address">"host:port" that the reader of the announcement dials: the grid's port for a gateway, the connectors' port for a connector.</param>
/// <param name="Name">The silo's name, for logs.</param>
/// <param name="Region">Where it is; null or empty: unknown, and then it is nobody's own region.</param>
/// <param name="State">"active" or "draining"; a reader treats every other word as draining: a state it does not know is no invitation.</param>
/// <param name="AgeSeconds">How long ago it started, by the announcer's clock; a silo that has just come back is not moved to at once.</param>
public sealed record SiloAnnouncement(string Address, string Name, string? Region, string State, long AgeSeconds)
{
    /// <summary>Takes new work.</summary>
    public const string Active = "active";

    /// <summary>Finishes what it has.</summary>
    public const string Draining = "draining";
}

/// <summary>All silos the grid has, at one version of its membership.</summary>
/// <param name="Version">Grows with every change; a reader that hears several silos believes the highest.</param>
/// <param name="Silos">At most 64.</param>
public sealed record SiloAnnouncements(long Version, IReadOnlyList<SiloAnnouncement> Silos);
