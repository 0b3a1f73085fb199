namespace Relay.GrainHost.Membership;

/// <summary>One start of one silo, as the membership table has it.</summary>
/// <param name="Address">Advertised grid address "host:port": where other silos dial it.</param>
/// <param name="Incarnation">Random, made when the process starts.</param>
/// <param name="Status">How far its life is.</param>
/// <param name="Name">The name in its certificate; empty when nobody checks it.</param>
/// <param name="Region">Free text; empty for none.</param>
/// <param name="ConnectorAddress">Where connectors dial it; empty for nowhere.</param>
/// <param name="Version">Software version, for the record.</param>
/// <param name="StartedAt">By the table's clock.</param>
/// <param name="AliveAt">Last sign of life, by the table's clock.</param>
public sealed record SiloMember(
    string Address,
    Guid Incarnation,
    MemberStatus Status,
    string Name,
    string Region,
    string ConnectorAddress,
    string Version,
    DateTimeOffset StartedAt,
    DateTimeOffset AliveAt)
{
    /// <summary>Whether both rows are about the same start of the same silo.</summary>
    public bool IsSame(SiloMember other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return Incarnation == other.Incarnation && Address == other.Address;
    }
}

/// <summary>How far a member's life is. It only grows.</summary>
public enum MemberStatus
{
    /// <summary>Starts; grains are not placed there yet.</summary>
    Joining,

    /// <summary>Hosts grains.</summary>
    Active,

    /// <summary>Leaves of its own will.</summary>
    ShuttingDown,

    /// <summary>Gone, or declared so by others. Final for this incarnation.</summary>
    Dead,
}
