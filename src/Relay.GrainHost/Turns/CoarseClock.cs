namespace Relay.GrainHost.Turns;

/// <summary>
/// A monotonic clock in steps, read without a system call: deadlines and idle times need no better. It moves when
/// <see cref="Update"/> is called, once per step.
/// </summary>
internal sealed class CoarseClock(TimeProvider time)
{
    public static readonly TimeSpan Step = TimeSpan.FromMilliseconds(50);

    private readonly long _start = time.GetTimestamp();
    private long _now;
    private long _updatedAt;
    private long _longestGap;

    /// <summary>Whole steps since the start.</summary>
    public long Now => Volatile.Read(ref _now);

    public void Update()
    {
        var elapsed = time.GetElapsedTime(_start);
        Volatile.Write(ref _now, elapsed.Ticks / Step.Ticks);
        var gap = elapsed.Ticks - _updatedAt;
        Volatile.Write(ref _updatedAt, elapsed.Ticks);
        if (gap > Volatile.Read(ref _longestGap)) Volatile.Write(ref _longestGap, gap);
    }

    /// <summary>How long ago the last update was.</summary>
    public TimeSpan SinceUpdate => time.GetElapsedTime(_start) - TimeSpan.FromTicks(Volatile.Read(ref _updatedAt));

    /// <summary>The longest time between two updates since <see cref="TakeLongestGap"/>, also one that is not over.</summary>
    public TimeSpan LongestGap
    {
        get
        {
            var (taken, running) = (TimeSpan.FromTicks(Volatile.Read(ref _longestGap)), SinceUpdate);
            return running > taken ? running : taken;
        }
    }

    /// <summary>The longest time between two updates since this was last asked.</summary>
    public TimeSpan TakeLongestGap() => TimeSpan.FromTicks(Interlocked.Exchange(ref _longestGap, 0));

    /// <summary>Steps in a time, rounded up.</summary>
    public static long Steps(TimeSpan time) => (time.Ticks + Step.Ticks - 1) / Step.Ticks;

    /// <summary>The step at which <paramref name="time"/> has passed for certain: never early, up to two steps late.</summary>
    public long After(TimeSpan time) => Now + Steps(time) + 1;

    /// <summary>The step of a deadline that another silo has rounded up already.</summary>
    public long At(TimeSpan left) => Now + (left.Ticks / Step.Ticks);

    /// <summary>Whether a deadline has passed, also when the clock was not updated since: asks the time itself when it is near.</summary>
    public bool HasPassed(long deadline) => deadline - Now <= 2 && time.GetElapsedTime(_start).Ticks / Step.Ticks >= deadline;

    /// <summary>What is left until a step; zero when it has passed.</summary>
    public TimeSpan Until(long deadline) => TimeSpan.FromTicks(Math.Max(0, deadline - Now) * Step.Ticks);
}
