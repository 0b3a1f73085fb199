using System.Threading.Channels;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Relay.Silo.Storage;
using Relay.TestKit;
using Xunit;

namespace Relay.Tests.Silo.Storage;

public sealed class StoreHealthTests
{
    private readonly ManualTimeProvider _time = new();
    private readonly ScriptedProbe _probe = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_refused_question_is_an_outage_at_once_and_an_answer_ends_it()
    {
        using var health = NewHealth();
        var changes = 0;
        health.Changed += () => changes++;
        var outage = health.Outage;
        Assert.True(health.WhenReachableAsync(Cancel).IsCompletedSuccessfully);

        await AnswerAsync(health, new NpgsqlException("refused"));
        Assert.False(health.Reachable);
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, outage).ContinueWith(t => Assert.True(t.IsCanceled), Cancel, TaskContinuationOptions.None, TaskScheduler.Default);
        Assert.True(health.Outage.IsCancellationRequested);
        var back = health.WhenReachableAsync(Cancel);
        Assert.False(back.IsCompleted);

        await AnswerAsync(health, new NpgsqlException("refused"));
        Assert.Equal(1, changes);
        await AnswerAsync(health, null);
        Assert.True(health.Reachable);
        Assert.False(health.Outage.IsCancellationRequested);
        Assert.Equal(2, changes);
        await back;
    }

    // The driver holds a thread for each statement that it gives up where packets vanish.
    [Fact]
    public async Task In_an_outage_the_pool_has_a_thread_for_every_connection_and_some_are_left_for_the_rest()
    {
        const int Connections = 100;
        using var health = NewHealth();
        await AnswerAsync(health, new NpgsqlException("refused"));
        using var end = new ManualResetEventSlim();
        using var held = new SemaphoreSlim(0);
        var statements = Enumerable.Range(0, Connections).Select(_ => Task.Run(() =>
        {
            held.Release();
            end.Wait(Cancel);
        })).ToArray();
        // A pool that grows as usual adds some forty in that time.
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20), TimeProvider.System);
        try
        {
            for (var i = 0; i < Connections; i++)
                await held.WaitAsync(limit.Token);
            await Task.Run(() => { }, Cancel).WaitAsync(limit.Token);
        }
        finally
        {
            end.Set();
        }

        await Task.WhenAll(statements);
        await AnswerAsync(health, null);
    }

    [Fact]
    public async Task Silence_is_an_outage_only_after_its_time()
    {
        using var health = NewHealth();
        var asking = health.AskAsync(Cancel);
        await _probe.AskedAsync();
        var tick = TimeSpan.FromMilliseconds(250);
        for (var waited = tick; waited < StoreHealth.Silence; waited += tick)
            _time.Advance(tick);
        Assert.True(health.Reachable);
        Assert.False(asking.IsCompleted);
        // A tick that comes before the last one was seen is not counted: so until it is enough.
        while (!asking.IsCompleted)
        {
            _time.Advance(tick);
            await Task.Yield();
        }

        await asking;
        Assert.False(health.Reachable);
    }

    [Fact]
    public async Task A_process_that_stood_still_does_not_take_that_for_the_stores_silence()
    {
        using var health = NewHealth();
        var asking = health.AskAsync(Cancel);
        var answer = await _probe.AskedAsync();
        // One late tick, however late, is one tick.
        _time.Advance(TimeSpan.FromMilliseconds(250));
        answer.SetResult();
        await asking;
        Assert.True(health.Reachable);
    }

    [Fact]
    public async Task A_failed_operation_has_the_store_asked_at_once()
    {
        using var health = NewHealth();
        await health.StartAsync(Cancel);
        (await _probe.AskedAsync()).SetResult();
        // Until it waits for the next round; time stands still, so only the failure can start one.
        while (_time.ArmedTimers == 0)
            await Task.Yield();
        var lost = new TaskCompletionSource();
        health.Changed += lost.SetResult;
        health.Suspect(new PostgresException("no such table", "ERROR", "ERROR", PostgresErrorCodes.UndefinedTable));
        Assert.False(_probe.WasAsked);
        health.Suspect(new NpgsqlException("broken pipe"));
        (await _probe.AskedAsync()).SetException(new NpgsqlException("refused"));
        await lost.Task.WaitAsync(Cancel);
        Assert.False(health.Reachable);
        await health.StopAsync(Cancel);
    }

    [Fact]
    public async Task A_real_database_is_found_gone_and_back()
    {
        using var state = new TempDir("relay-health-");
        File.SetUnixFileMode(state.Path, (UnixFileMode)0b111_001_001);
        var postgres = await StartAsync();
        await using var probe = RelayDatabase.CreateProbe(postgres.ConnectionString("postgres"));
        using var health = new StoreHealth(probe, reachable: true, TimeProvider.System, NullLogger<StoreHealth>.Instance);
        await FoundAsync();
        await postgres.DisposeAsync();
        await health.AskAsync(Cancel);
        Assert.False(health.Reachable);
        await using var again = await StartAsync();
        await FoundAsync();

        // A server that has just started may be slow to answer the first time.
        Task FoundAsync() => Eventually.TrueAsync(
            async () =>
            {
                await health.AskAsync(Cancel);
                return health.Reachable;
            },
            "it is there");

        Task<EmbeddedPostgres> StartAsync() => EmbeddedPostgres.StartAsync(state.File("pg"), durable: false, NullLogger.Instance, TimeProvider.System, Cancel);
    }

    private StoreHealth NewHealth() => new(_probe, reachable: true, _time, NullLogger<StoreHealth>.Instance);

    private async Task AnswerAsync(StoreHealth health, Exception? failure)
    {
        var asking = health.AskAsync(Cancel);
        var answer = await _probe.AskedAsync();
        if (failure is null)
            answer.SetResult();
        else
            answer.SetException(failure);
        await asking;
    }

    private sealed class ScriptedProbe : IStoreProbe
    {
        private readonly Channel<TaskCompletionSource> _asked = Channel.CreateUnbounded<TaskCompletionSource>();

        public bool WasAsked => _asked.Reader.Count > 0;

        public ValueTask<TaskCompletionSource> AskedAsync() => _asked.Reader.ReadAsync(Cancel);

        public Task AskAsync(CancellationToken cancellationToken)
        {
            var answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _asked.Writer.TryWrite(answer);
            return answer.Task;
        }
    }
}
