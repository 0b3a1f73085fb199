using System.Diagnostics.CodeAnalysis;

namespace Orleans.Runtime;

/// <summary>A timer whose ticks are turns of its grain. Disposing it stops further ticks and cancels the token of a running one. Ends with the activation.</summary>
public interface IGrainTimer : IDisposable
{
    /// <summary>Sets a new due time and period, as in <see cref="GrainTimerCreationOptions"/>.</summary>
    void Change(TimeSpan dueTime, TimeSpan period);
}

/// <summary>How a grain timer ticks.</summary>
public readonly struct GrainTimerCreationOptions()
{
    /// <summary>Options with the two times set.</summary>
    [SetsRequiredMembers]
    public GrainTimerCreationOptions(TimeSpan dueTime, TimeSpan period)
        : this()
    {
        DueTime = dueTime;
        Period = period;
    }

    /// <summary>Until the first tick. Zero: at once. <see cref="Timeout.InfiniteTimeSpan"/>: never.</summary>
    public required TimeSpan DueTime { get; init; }

    /// <summary>From the end of one tick to the next. <see cref="Timeout.InfiniteTimeSpan"/>: tick once.</summary>
    public required TimeSpan Period { get; init; }

    /// <summary>True: ticks interleave with calls. False (default): a tick waits its turn like a call.</summary>
    public bool Interleave { get; init; }

    /// <summary>True: a tick counts as use and keeps the activation from idle collection. Default: false.</summary>
    public bool KeepAlive { get; init; }
}
