using System.Collections.Immutable;

namespace Relay.GrainHost.Membership;

/// <summary>
/// The table that says which silos there are. Every change is conditional on the version its author has seen, and raises it:
/// two silos that disagree cannot both win. Implementations are safe for concurrent use and throw when the store is out of reach.
/// </summary>
public interface IMembershipTable
{
    /// <summary>All rows and the version they belong to.</summary>
    Task<MembershipSnapshot> ReadAsync(CancellationToken cancellationToken);

    /// <summary>Adds a row, marks earlier incarnations at the same address dead, and removes rows that have been dead for a day.</summary>
    /// <returns>False: the table has moved on; read it again.</returns>
    Task<bool> TryInsertAsync(SiloMember member, long expectedVersion, CancellationToken cancellationToken);

    /// <summary>Sets the status of one incarnation.</summary>
    /// <returns>False: the table has moved on, or the row is not there; read it again.</returns>
    Task<bool> TrySetStatusAsync(string address, Guid incarnation, MemberStatus status, long expectedVersion, CancellationToken cancellationToken);

    /// <summary>A sign of life. Does not raise the version.</summary>
    Task HeartbeatAsync(string address, Guid incarnation, CancellationToken cancellationToken);
}

/// <summary>The table at one moment.</summary>
/// <param name="Version">Grows with every change; 0 when nobody ever joined.</param>
/// <param name="ReadAt">The table's clock.</param>
/// <param name="Members">All rows, dead ones included.</param>
public sealed record MembershipSnapshot(long Version, DateTimeOffset ReadAt, ImmutableArray<SiloMember> Members);
