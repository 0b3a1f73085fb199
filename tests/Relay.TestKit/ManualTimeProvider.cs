namespace Relay.TestKit;

/// <summary>
/// Time that moves only when a test says so. <see cref="Advance"/> fires every timer that falls due, in order, on the
/// calling thread, with the clock standing at the timer's due time. Safe for concurrent use.
/// </summary>
public sealed class ManualTimeProvider : TimeProvider
{
    private readonly Lock _lock = new();
    private readonly List<ManualTimer> _timers = [];
    private DateTimeOffset _now;

    /// <summary>Starts at 2026-01-01 00:00:00 UTC.</summary>
    public ManualTimeProvider()
        : this(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero))
    {
    }

    public ManualTimeProvider(DateTimeOffset start)
    {
        _now = start;
    }

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Timers that are armed. Lets a test wait until the code under test has armed its timer.</summary>
    public int ArmedTimers
    {
        get
        {
            lock (_lock) return _timers.Count;
        }
    }

    public override DateTimeOffset GetUtcNow()
    {
        lock (_lock) return _now;
    }

    public override long GetTimestamp()
    {
        lock (_lock) return _now.UtcTicks;
    }

    /// <summary>Moves the clock on by <paramref name="by"/> and fires what falls due, periodic timers once per period.</summary>
    public void Advance(TimeSpan by)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(by, TimeSpan.Zero);
        DateTimeOffset end;
        lock (_lock) end = _now + by;
        while (true)
        {
            ManualTimer? due;
            lock (_lock)
            {
                due = null;
                foreach (var timer in _timers)
                {
                    if (timer.DueAt <= end && (due is null || timer.DueAt < due.DueAt)) due = timer;
                }

                if (due is null)
                {
                    _now = end;
                    return;
                }

                if (due.DueAt > _now) _now = due.DueAt;
                if (due.Period > TimeSpan.Zero) due.DueAt += due.Period;
                else _timers.Remove(due);
            }

            // Outside the lock: the callback may arm and dispose timers.
            due.Fire();
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentNullException.ThrowIfNull(callback);
        var timer = new ManualTimer(this, callback, state);
        timer.Change(dueTime, period);
        return timer;
    }

    private sealed class ManualTimer(ManualTimeProvider owner, TimerCallback callback, object? state) : ITimer
    {
        private bool _disposed;

        public DateTimeOffset DueAt { get; set; }

        public TimeSpan Period { get; private set; }

        public void Fire() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            lock (owner._lock)
            {
                if (_disposed) return false;
                owner._timers.Remove(this);
                Period = period > TimeSpan.Zero ? period : TimeSpan.Zero;
                if (dueTime == Timeout.InfiniteTimeSpan) return true;
                DueAt = owner._now + dueTime;
                owner._timers.Add(this);
                return true;
            }
        }

        public void Dispose()
        {
            lock (owner._lock)
            {
                _disposed = true;
                owner._timers.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
