using System.Collections.Immutable;
using Orleans;
using Orleans.Concurrency;
using Orleans.Runtime;

namespace Relay.Tests.GrainHost.Cluster;

/// <summary>Lives, counts, fails and waits as it is told, and writes it down.</summary>
internal interface ILifeGrain : IGrainWithStringKey
{
    Task<int> CountAsync();

    Task<string> WhereAsync();

    Task LeaveAsync();

    Task StartTimerAsync(TimeSpan due, TimeSpan period, bool keepAlive);

    Task StopTimerAsync();

    Task<int> TicksAsync();

    Task FailAsync(string type, string message);

    /// <summary>Waits for its token, and says in the journal how it ended.</summary>
    Task<string> WaitAsync(string label, CancellationToken cancellationToken);

    [ResponseTimeout("00:00:01")]
    Task WaitShortAsync(string label, CancellationToken cancellationToken);

    /// <summary>Waits for ever, ignoring everybody.</summary>
    Task HangAsync();

    Task DoAsync(string label);

    Task<int> CallAsync(string other);

    Task<int> CallRoundAsync(string other, string back);

    [OneWay]
    Task SendAsync(string label);

    Task<List<int>> EchoListAsync(List<int> list);

    Task<List<int>> KeepAsync([Immutable] List<int> list);

    Task<byte[]> EchoBytesAsync(byte[] data);

    ValueTask<ImmutableArray<string>> EchoAsync(string? text, Guid id, DateTimeOffset at, int? number, DayOfWeek day, ImmutableArray<string> more);

    Task<string?> NothingAsync();

    Task<int> AskAsync(ILifeGrain other);

    Task<bool> NotifyAsync(ILifeObserver observer, string text);

    Task DelayLeavingAsync(TimeSpan time);
}

internal interface ILifeObserver : IGrainObserver
{
    Task<bool> OnEventAsync(string text);

    void OnSomething(string text);
}

/// <summary>Never starts.</summary>
internal interface IBrokenGrain : IGrainWithStringKey
{
    Task DoAsync();
}

internal sealed class BrokenGrain(TestJournal journal) : Grain, IBrokenGrain
{
    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        journal.Lines.Enqueue("broken: activate");
        throw new InvalidDataException("no state");
    }

    public Task DoAsync() => Task.CompletedTask;
}

internal sealed class LifeGrain(TestJournal journal, ILocalSiloName? name = null) : Grain, ILifeGrain, IAsyncDisposable
{
    private readonly TaskCompletionSource _never = new();
    private IGrainTimer? _timer;
    private int _count;
    private int _ticks;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        await Task.Yield();
        Write("activate");
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        await Task.Yield();
        Write($"deactivate {reason.ReasonCode}");
    }

    public ValueTask DisposeAsync()
    {
        Write("dispose");
        return default;
    }

    public Task<int> CountAsync() => Task.FromResult(++_count);

    public Task<string> WhereAsync() => Task.FromResult(name?.Name ?? "");

    public Task LeaveAsync()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    public Task StartTimerAsync(TimeSpan due, TimeSpan period, bool keepAlive)
    {
        _timer = this.RegisterGrainTimer(Tick, new GrainTimerCreationOptions(due, period) { KeepAlive = keepAlive });
        return Task.CompletedTask;
    }

    public Task StopTimerAsync()
    {
        _timer?.Dispose();
        return Task.CompletedTask;
    }

    public Task<int> TicksAsync() => Task.FromResult(_ticks);

    public Task FailAsync(string type, string message) => throw (Exception)Activator.CreateInstance(Type.GetType(type, throwOnError: true)!, message)!;

    public async Task<string> WaitAsync(string label, CancellationToken cancellationToken)
    {
        Write($"{label}: begin");
        try
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            Write($"{label}: cancelled");
            throw;
        }

        return label;
    }

    public Task WaitShortAsync(string label, CancellationToken cancellationToken) => WaitAsync(label, cancellationToken);

    public Task HangAsync() => _never.Task;

    public Task DoAsync(string label)
    {
        Write(label);
        return Task.CompletedTask;
    }

    public Task<int> CallAsync(string other) => GrainFactory.GetGrain<ILifeGrain>(other).CountAsync();

    public async Task<int> CallRoundAsync(string other, string back)
    {
        if (other.Length == 0) return await GrainFactory.GetGrain<ILifeGrain>(back).CountAsync();
        return await GrainFactory.GetGrain<ILifeGrain>(other).CallRoundAsync("", back);
    }

    public Task SendAsync(string label)
    {
        Write(label);
        throw new InvalidOperationException("nobody hears this");
    }

    public Task<List<int>> EchoListAsync(List<int> list)
    {
        list.Add(99);
        return Task.FromResult(list);
    }

    public Task<List<int>> KeepAsync(List<int> list)
    {
        list.Add(99);
        return Task.FromResult(list);
    }

    public Task<byte[]> EchoBytesAsync(byte[] data) => Task.FromResult(data);

    public ValueTask<ImmutableArray<string>> EchoAsync(string? text, Guid id, DateTimeOffset at, int? number, DayOfWeek day, ImmutableArray<string> more) =>
        new([text ?? "null", $"{id:D}", $"{at:O}", $"{number}", $"{day}", .. more.IsDefault ? ["default"] : more]);

    public Task<string?> NothingAsync() => Task.FromResult<string?>(null);

    public Task<int> AskAsync(ILifeGrain other) => other.CountAsync();

    public async Task<bool> NotifyAsync(ILifeObserver observer, string text)
    {
        observer.OnSomething(text);
        return await observer.OnEventAsync(text);
    }

    public Task DelayLeavingAsync(TimeSpan time)
    {
        DelayDeactivation(time);
        return Task.CompletedTask;
    }

    private Task Tick(CancellationToken cancellationToken)
    {
        _ticks++;
        Write($"tick {_ticks}");
        return _ticks == 2 ? throw new InvalidOperationException("the second tick fails") : Task.CompletedTask;
    }

    private void Write(string line) => journal.Lines.Enqueue($"{this.GetPrimaryKeyString()}: {line}");
}

/// <summary>The silo's name, for grains that say where they are.</summary>
internal interface ILocalSiloName
{
    string Name { get; }
}

internal sealed record LocalSiloName(string Name) : ILocalSiloName;
