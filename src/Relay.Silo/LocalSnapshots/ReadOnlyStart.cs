namespace Relay.Silo.LocalSnapshots;

/// <summary>
/// Whether this silo was started without the store, and by what it decides until it has read the store itself. Safe for concurrent use.
/// </summary>
internal sealed class ReadOnlyStart(LocalSnapshot? snapshot, DateTimeOffset since)
{
    private volatile bool _over;

    /// <summary>From the disk; null: the store was there.</summary>
    public LocalSnapshot? Snapshot => snapshot;

    /// <summary>When the silo was started.</summary>
    public DateTimeOffset Since => since;

    /// <summary>True as long as nothing has been read from the store.</summary>
    public bool IsActive => snapshot is not null && !_over;

    /// <summary>What the store says is decided by from now on.</summary>
    public void End() => _over = true;
}
