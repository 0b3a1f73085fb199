using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace Relay.Tests.GrainHost.Cluster;

/// <summary>Its first tick changes the timer and then waits to be let go.</summary>
internal interface ITimerGrain : IGrainWithStringKey
{
    Task StartAsync(TimeSpan due, TimeSpan period, TimeSpan changeTo);

    [AlwaysInterleave]
    Task GoOnAsync();
}

internal sealed class TimerGrain(TestJournal journal) : Grain, ITimerGrain
{
    private readonly TaskCompletionSource _goOn = new();
    private IGrainTimer? _timer;
    private int _ticks;

    public Task StartAsync(TimeSpan due, TimeSpan period, TimeSpan changeTo)
    {
        _timer = this.RegisterGrainTimer(() => TickAsync(changeTo, period), due, period);
        return Task.CompletedTask;
    }

    public Task GoOnAsync()
    {
        _goOn.TrySetResult();
        return Task.CompletedTask;
    }

    private async Task TickAsync(TimeSpan changeTo, TimeSpan period)
    {
        var tick = ++_ticks;
        if (tick == 1) _timer!.Change(changeTo, period);
        journal.Lines.Enqueue($"tick {tick}: begin");
        await _goOn.Task;
        journal.Lines.Enqueue($"tick {tick}: end");
    }
}
