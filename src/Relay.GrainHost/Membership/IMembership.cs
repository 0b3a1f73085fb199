using System.Collections.Immutable;

namespace Relay.GrainHost.Membership;

/// <summary>Which silos there are, as this one knows it. Safe for concurrent use.</summary>
public interface IMembership
{
    /// <summary>The table's version that <see cref="ActiveSilos"/> comes from.</summary>
    long Version { get; }

    /// <summary>Silos that host grains, ordered by address; this one is among them from its start until it shuts down or is declared dead.</summary>
    ImmutableArray<SiloMember> ActiveSilos { get; }

    /// <summary>All rows of the table as it was last read: also silos that start, leave or are dead. In any order.</summary>
    ImmutableArray<SiloMember> Members { get; }

    /// <summary>Raised after <see cref="ActiveSilos"/> has changed, or a member's state, one at a time, on a pool thread. A handler must not block or throw.</summary>
    event Action<IMembership>? Changed;

    /// <summary>Reads the table now instead of at the next refresh.</summary>
    Task RefreshAsync(CancellationToken cancellationToken);
}

/// <summary>This silo. Known before it joins.</summary>
public interface ILocalSilo
{
    /// <summary>Advertised grid address "host:port".</summary>
    string Address { get; }

    /// <summary>Random, made when this process started.</summary>
    Guid Incarnation { get; }
}
