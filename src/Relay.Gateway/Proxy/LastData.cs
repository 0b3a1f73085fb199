namespace Relay.Gateway.Proxy;

/// <summary>
/// Directions from a session's target to its user that still pass on what they have. Whoever ends a session whose target is gone waits for
/// them, so that the user has all that came and then the reason. Safe for concurrent use.
/// </summary>
internal sealed class LastData
{
    private readonly Lock _lock = new();
    private int _passing;
    private TaskCompletionSource? _none;

    /// <summary>Counts one direction until it is disposed.</summary>
    public Passing Begin()
    {
        lock (_lock)
        {
            _passing++;
        }

        return new Passing(this);
    }

    /// <summary>Returns when nothing is passed on any more, or after the limit.</summary>
    public async Task WaitAsync(TimeSpan limit, TimeProvider time)
    {
        Task none;
        lock (_lock)
        {
            none = _passing == 0 ? Task.CompletedTask : (_none ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }

        await none.WaitAsync(limit, time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private void End()
    {
        lock (_lock)
        {
            if (--_passing == 0)
            {
                _none?.SetResult();
                _none = null;
            }
        }
    }

    /// <summary>One direction. Dispose it once.</summary>
    public readonly struct Passing(LastData all) : IDisposable
    {
        public void Dispose() => all.End();
    }
}
