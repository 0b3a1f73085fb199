namespace Relay.Silo.Snapshots;

/// <summary>Told after every swap, on the feed's own task: quick, no I/O awaited.</summary>
internal interface ISnapshotObserver
{
    /// <param name="organizationId">Whose snapshot changed.</param>
    /// <param name="snapshot">The one in use from now on; null: the organization is gone.</param>
    /// <returns>What is being closed because it lost its right, one task each, over when nothing can flow there any more. Never faulted.</returns>
    IReadOnlyList<Task> OnSwapped(Guid organizationId, OrgSnapshot? snapshot);
}
