using Orleans;
using Orleans.Concurrency;

namespace Relay.Tests.GrainHost.Cluster;

/// <summary>Counts how its calls overlap.</summary>
internal interface ITurnGrain : IGrainWithStringKey
{
    /// <summary>Awaits <paramref name="awaits"/> times.</summary>
    Task<int> WorkAsync(int awaits);

    Task<TurnReport> ReportAsync();

    [AlwaysInterleave]
    Task<TurnReport> PeekAsync();

    [ReadOnly]
    Task ReadAsync(string gate);

    Task WriteAsync(string gate);

    /// <summary>Lets go those who wait at the gate.</summary>
    [AlwaysInterleave]
    Task OpenAsync(string gate);
}

/// <summary>The same, reentrant.</summary>
internal interface IReentrantGrain : IGrainWithStringKey
{
    Task<int> WorkAsync(int awaits);

    Task<TurnReport> ReportAsync();
}

/// <param name="Calls">Calls that have ended.</param>
/// <param name="MaxOpen">Most calls that were open at once.</param>
/// <param name="Collisions">Moments at which two threads were inside.</param>
/// <param name="Astray">Moments at which code ran outside the grain's scheduler.</param>
/// <param name="Open">Calls that are open now.</param>
[GenerateSerializer]
[Immutable]
[Alias("test.turn-report")]
internal sealed record TurnReport(
    [property: Id(0)] int Calls, [property: Id(1)] int MaxOpen, [property: Id(2)] int Collisions, [property: Id(3)] int Astray, [property: Id(4)] int Open);

internal abstract class TurnGrainBase : Grain
{
    private readonly TaskScheduler _scheduler = TaskScheduler.Current;
    private int _inside;
    private int _astray;
    private int _open;
    private int _calls;
    private int _maxOpen;
    private int _collisions;

    public async Task<int> WorkAsync(int awaits)
    {
        _open++;
        _maxOpen = Math.Max(_maxOpen, _open);
        Touch();
        for (var i = 0; i < awaits; i++)
        {
            switch (i % 3)
            {
                case 0: await Task.Yield(); break;
                case 1: await Task.Run(static () => { }); break;
                default: await Task.Factory.StartNew(Touch); break;
            }

            Touch();
        }

        _open--;
        return ++_calls;
    }

    public Task<TurnReport> ReportAsync() => Task.FromResult(new TurnReport(_calls, _maxOpen, _collisions, _astray, _open));

    protected void Enter()
    {
        _open++;
        _maxOpen = Math.Max(_maxOpen, _open);
    }

    protected void Leave() => _open--;

    private void Touch()
    {
        if (TaskScheduler.Current != _scheduler) _astray++;
        if (Interlocked.Increment(ref _inside) != 1) Interlocked.Increment(ref _collisions);
        Thread.SpinWait(50);
        Interlocked.Decrement(ref _inside);
    }
}

internal sealed class TurnGrain : TurnGrainBase, ITurnGrain
{
    private readonly Dictionary<string, TaskCompletionSource> _gates = [];

    public Task<TurnReport> PeekAsync() => ReportAsync();

    public async Task ReadAsync(string gate)
    {
        Enter();
        await Gate(gate).Task;
        Leave();
    }

    public async Task WriteAsync(string gate)
    {
        Enter();
        await Gate(gate).Task;
        Leave();
    }

    public Task OpenAsync(string gate)
    {
        Gate(gate).TrySetResult();
        return Task.CompletedTask;
    }

    private TaskCompletionSource Gate(string name)
    {
        if (!_gates.TryGetValue(name, out var gate)) _gates[name] = gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        return gate;
    }
}

[Reentrant]
internal sealed class ReentrantGrain : TurnGrainBase, IReentrantGrain;
