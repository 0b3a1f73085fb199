using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using Relay.GrainHost.Activations;

namespace Relay.GrainHost.Timers;

/// <summary>A timer of an activation. At most one tick is queued or running; the next is due a period after the last has ended.</summary>
internal sealed partial class GrainTimer : WorkItem, IGrainTimer
{
    private readonly Func<CancellationToken, Task> _callback;
    private readonly GrainTimerCreationOptions _options;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _disposal = new();
    private readonly ITimer _timer;
    private readonly Lock _lock = new();
    private TimeSpan _period;
    private bool _ticking;
    private bool _changed;
    private bool _missed;
    private bool _disposed;

    public GrainTimer(Activation activation, TimeProvider time, ILogger logger, Func<CancellationToken, Task> callback, GrainTimerCreationOptions options)
    {
        Activation = activation;
        _logger = logger;
        _callback = callback;
        _options = options;
        Check(options.DueTime);
        Check(options.Period);
        _timer = time.CreateTimer(static self => ((GrainTimer)self!).OnDue(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public override bool AlwaysInterleave => _options.Interleave;

    public override bool ReadOnly => false;

    public void Change(TimeSpan dueTime, TimeSpan period)
    {
        Check(dueTime);
        Check(period);
        lock (_lock)
        {
            if (_disposed) return;
            _period = period;
            _changed = true;
            _timer.Change(dueTime, Timeout.InfiniteTimeSpan);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
            _timer.Dispose();
        }

        Activation!.Forget(this);
        _ = _disposal.CancelAsync();
    }

    public override bool TryBegin()
    {
        lock (_lock) return !_disposed;
    }

    public override void Start(object instance) => _ = TickAsync();

    public override void Fail(Exception exception)
    {
        // Nobody waits for a tick.
    }

    public override void Redirect()
    {
        // A timer belongs to its activation.
    }

    private static void Check(TimeSpan time)
    {
        if (time < TimeSpan.Zero && time != Timeout.InfiniteTimeSpan) throw new ArgumentOutOfRangeException(nameof(time), "The time is negative.");
    }

    private void OnDue()
    {
        lock (_lock)
        {
            if (_disposed) return;
            // It was set anew during a tick and is due before that has ended.
            _missed = _ticking;
            if (_ticking) return;
            _ticking = true;
            _changed = false;
        }

        Activation!.Turns.Add(this);
    }

    private async Task TickAsync()
    {
        if (_options.KeepAlive) Activation!.MarkUsed();
        try
        {
            await _callback(_disposal.Token);
        }
        catch (OperationCanceledException) when (_disposal.IsCancellationRequested)
        {
            // The tick obeyed its disposal.
        }
        catch (Exception e)
        {
            LogTickFailed(Activation!.GrainId, e);
        }

        lock (_lock)
        {
            _ticking = false;
            if (!_disposed && _missed) _timer.Change(TimeSpan.Zero, Timeout.InfiniteTimeSpan);
            else if (!_disposed && !_changed) _timer.Change(_period, Timeout.InfiniteTimeSpan);
            _missed = false;
        }

        Activation!.Finish(this);
    }
}
