namespace Relay.Silo.Snapshots;

/// <summary>
/// What a silo may be told by another one when only its own way to the store is cut: a right can be taken away while it is cut off, so
/// what is written must reach it on another way. Safe for concurrent use.
/// </summary>
internal interface IStoreThroughPeer
{
    /// <summary>True: the store is not reachable from here, but a peer reaches it.</summary>
    bool IsNeeded { get; }

    /// <summary>As <see cref="SnapshotLoader.HeadsAsync"/>.</summary>
    /// <exception cref="Storage.StoreUnavailableException">No peer could tell.</exception>
    Task<StoreHeads> HeadsAsync(CancellationToken cancellationToken);

    /// <summary>One organization; null: it is gone.</summary>
    /// <exception cref="Storage.StoreUnavailableException">No peer could tell.</exception>
    Task<SnapshotRows?> RowsAsync(Guid organizationId, CancellationToken cancellationToken);

    /// <summary>This silo's live sessions that somebody asked to end.</summary>
    /// <exception cref="Storage.StoreUnavailableException">No peer could tell.</exception>
    Task<IReadOnlyList<(Guid SessionId, string KilledBy)>> KillsAsync(CancellationToken cancellationToken);

    /// <summary>As <see cref="ISnapshotAckStore.WriteAsync"/>.</summary>
    /// <exception cref="Storage.StoreUnavailableException">No peer could write it.</exception>
    Task<TimeSpan?> AcknowledgeAsync(Guid organizationId, long since, long version, CancellationToken cancellationToken);
}
