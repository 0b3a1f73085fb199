using Relay.Silo.Snapshots;

namespace Relay.Tests.Silo.Snapshots;

/// <summary>A silo that reaches the store itself.</summary>
internal sealed class NoWayThroughPeers : IStoreThroughPeer
{
    public bool IsNeeded => false;

    public Task<StoreHeads> HeadsAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<SnapshotRows?> RowsAsync(Guid organizationId, CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<IReadOnlyList<(Guid SessionId, string KilledBy)>> KillsAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public Task<TimeSpan?> AcknowledgeAsync(Guid organizationId, long since, long version, CancellationToken cancellationToken) => throw new NotSupportedException();
}
