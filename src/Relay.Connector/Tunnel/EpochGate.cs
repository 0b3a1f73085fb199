namespace Relay.Connector.Tunnel;

/// <summary>
/// The highest attachment epoch this process has seen. Whoever acts under a lower one is a silo that was thawed, cut off or
/// replaced, and is refused. While an attach is under way nobody can tell which epoch is the last: streams wait for its answer, and
/// when none comes, older epochs are over, because the silo may have won a new one for this agent and lost it to another again.
/// Safe for concurrent use.
/// </summary>
internal sealed class EpochGate
{
    private readonly Lock _lock = new();
    private TaskCompletionSource? _asking;
    private long _highest;
    private bool _uncertain;

    /// <summary>0 before the first attachment.</summary>
    public long Highest
    {
        get
        {
            lock (_lock) return _highest;
        }
    }

    /// <summary>An attach got no answer, and none was accepted since: no tunnel opens streams until one is.</summary>
    public bool IsUncertain
    {
        get
        {
            lock (_lock) return _uncertain;
        }
    }

    /// <summary>Completes when no attach is under way.</summary>
    public Task Settled
    {
        get
        {
            lock (_lock) return _asking?.Task ?? Task.CompletedTask;
        }
    }

    /// <summary>False: lower than the highest seen, or not known to be the last. True also raises the highest.</summary>
    public bool Admit(long epoch)
    {
        lock (_lock)
        {
            if (epoch < _highest || (_uncertain && epoch == _highest))
                return false;
            _uncertain &= epoch == _highest;
            _highest = epoch;
            return true;
        }
    }

    /// <summary>An attach is about to be sent. One at a time; followed by <see cref="Settle"/>.</summary>
    public void Ask()
    {
        lock (_lock) _asking ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>The attach is over.</summary>
    /// <param name="known">False: no answer came, so what it did is not known.</param>
    public void Settle(bool known)
    {
        lock (_lock)
        {
            _uncertain |= !known;
            _asking?.SetResult();
            _asking = null;
        }
    }
}
