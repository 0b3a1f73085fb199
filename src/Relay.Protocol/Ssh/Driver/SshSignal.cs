using System.Threading.Tasks.Sources;

namespace Relay.Protocol.Ssh;

/// <summary>
/// An awaitable event for one waiter at a time, without allocation. Armed and set under the gate it was made with, so
/// a state checked under the gate before arming cannot change unnoticed.
/// </summary>
internal sealed class SshSignal : IValueTaskSource
{
    private readonly Lock _gate;
    private ManualResetValueTaskSourceCore<bool> _core;
    private CancellationTokenRegistration _registration;
    private CancellationToken _token;
    private bool _armed;

    /// <param name="gate">Lock held by callers of <see cref="ArmAsync"/>, <see cref="Set"/> and <see cref="TryDisarm"/>.</param>
    /// <param name="inline">The waiter goes on inside <see cref="Fire"/>; otherwise on the thread pool.</param>
    public SshSignal(Lock gate, bool inline = false)
    {
        _gate = gate;
        _core.RunContinuationsAsynchronously = !inline;
    }

    /// <summary>Begins to wait. Gate held.</summary>
    /// <exception cref="InvalidOperationException">Somebody is waiting already.</exception>
    public ValueTask ArmAsync(CancellationToken cancellationToken)
    {
        if (_armed)
            throw new InvalidOperationException("Only one operation of this kind may be pending.");
        _core.Reset();
        _armed = true;
        _token = cancellationToken;
        var version = _core.Version;
        if (cancellationToken.CanBeCanceled)
            _registration = cancellationToken.UnsafeRegister(static state => ((SshSignal)state!).Cancel(), this);
        return new(this, version);
    }

    /// <summary>Ends the wait, if there is one. Gate held.</summary>
    public void Set()
    {
        if (TryDisarm())
            _core.SetResult(true);
    }

    /// <summary>Claims the right to call <see cref="Fire"/>. Gate held.</summary>
    public bool TryDisarm()
    {
        var armed = _armed;
        _armed = false;
        return armed;
    }

    /// <summary>Ends the wait that <see cref="TryDisarm"/> claimed. Gate not held.</summary>
    public void Fire() => _core.SetResult(true);

    void IValueTaskSource.GetResult(short token)
    {
        // Waits for a cancellation that is running right now, so that it cannot hit the next wait.
        _registration.Dispose();
        _registration = default;
        _core.GetResult(token);
    }

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);

    private void Cancel()
    {
        lock (_gate)
        {
            if (!TryDisarm())
                return;
        }

        _core.SetException(new OperationCanceledException(_token));
    }
}
