using Relay.Protocol.Grid;

namespace Relay.Silo.Connectors;

/// <summary>Which silos connectors may choose from. Safe for concurrent use.</summary>
internal interface ISiloAnnouncements
{
    /// <summary>Ends at the next change or repetition. Take it before reading the announcement.</summary>
    Task Changed { get; }

    /// <summary>With the addresses that connectors dial.</summary>
    SiloAnnouncements ForConnectors();
}
