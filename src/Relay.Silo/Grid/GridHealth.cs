namespace Relay.Silo.Grid;

/// <summary>
/// The two facts a silo stands on: is the store reachable, do I hear a majority of the members. Known at any time, at most a second
/// old; peers that hear each other tell each other whether they reach the store. Safe for concurrent use.
/// </summary>
internal sealed class GridHealth
{
    private readonly Lock _lock = new();
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile Facts _facts = new(true, true, true);

    /// <summary>Raised after a fact has changed, one at a time: quick, no I/O awaited.</summary>
    public event Action? Changed;

    /// <summary>The store is reachable, directly or through a peer.</summary>
    public bool StoreReachable => _facts.Directly || _facts.ThroughPeer;

    /// <summary>The store is reachable from here.</summary>
    public bool StoreReachableDirectly => _facts.Directly;

    /// <summary>
    /// A majority of the members of the last view answers, this silo included. A silo alone is its own majority; of two, both are
    /// needed: neither half of a pair can tell whether it is the one that was cut off.
    /// </summary>
    public bool MajorityReachable => _facts.Majority;

    /// <summary>Completes at the next change. Take it before looking at the facts.</summary>
    public Task WaitForChangeAsync(CancellationToken cancellationToken)
    {
        lock (_lock) return _changed.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Takes in what is the case now. One caller at a time.</summary>
    internal void Update(bool storeDirectly, bool storeThroughPeer, bool majority)
    {
        var facts = new Facts(storeDirectly, storeThroughPeer, majority);
        var before = _facts;
        if (facts == before) return;
        _facts = facts;
        var told = (before.Directly || before.ThroughPeer) != StoreReachable || before.Directly != storeDirectly || before.Majority != majority;
        if (!told) return;
        TaskCompletionSource changed;
        lock (_lock)
        {
            changed = _changed;
            _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        changed.SetResult();
        Changed?.Invoke();
    }

    private sealed record Facts(bool Directly, bool ThroughPeer, bool Majority);
}
