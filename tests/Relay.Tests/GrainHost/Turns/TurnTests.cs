using FsCheck;
using FsCheck.Fluent;
using Relay.Tests.GrainHost.Cluster;
using Xunit;

namespace Relay.Tests.GrainHost.Turns;

public sealed class TurnTests
{
    [Fact]
    public void Calls_of_random_length_never_overlap()
    {
        var calls = Gen.Choose(0, 7).ArrayOf(40).ToArbitrary();
        Checked.ForAll(calls, 25, lengths =>
        {
            var report = RunAsync(lengths).GetAwaiter().GetResult();
            return report.Calls == lengths.Length && report.MaxOpen <= 1 && report.Collisions == 0 && report.Astray == 0;
        });

        static async Task<TurnReport> RunAsync(int[] lengths)
        {
            await using var cluster = new TestCluster();
            var grain = (await cluster.StartAsync()).Grains.GetGrain<ITurnGrain>("t");
            await Task.WhenAll(lengths.Select(length => Task.Run(() => grain.WorkAsync(length))));
            return await grain.ReportAsync();
        }
    }

    [Fact]
    public void Calls_to_a_reentrant_grain_interleave_but_never_run_at_once()
    {
        var interleaved = false;
        var calls = Gen.Choose(0, 7).ArrayOf(40).ToArbitrary();
        Checked.ForAll(calls, 25, lengths =>
        {
            var report = RunAsync(lengths).GetAwaiter().GetResult();
            interleaved |= report.MaxOpen > 1;
            return report.Calls == lengths.Length && report.Collisions == 0 && report.Astray == 0;
        });
        Assert.True(interleaved);

        static async Task<TurnReport> RunAsync(int[] lengths)
        {
            await using var cluster = new TestCluster();
            var grain = (await cluster.StartAsync()).Grains.GetGrain<IReentrantGrain>("t");
            // From one thread, so that all are queued before the first has ended.
            await Task.WhenAll(lengths.Select(grain.WorkAsync));
            return await grain.ReportAsync();
        }
    }

    [Fact]
    public async Task An_always_interleaved_call_overtakes_a_call_that_waits()
    {
        await using var cluster = new TestCluster();
        var grain = (await cluster.StartAsync()).Grains.GetGrain<ITurnGrain>("t");
        var first = grain.WriteAsync("a");
        var second = grain.WriteAsync("b");
        Assert.Equal(1, (await grain.PeekAsync()).Open);
        await grain.OpenAsync("a");
        await first;
        Assert.False(second.IsCompleted);
        await grain.OpenAsync("b");
        await second;
    }

    [Fact]
    public async Task Readers_run_together_and_a_writer_waits_for_them_and_holds_up_later_readers()
    {
        await using var cluster = new TestCluster();
        var grain = (await cluster.StartAsync()).Grains.GetGrain<ITurnGrain>("t");
        var one = grain.ReadAsync("one");
        var two = grain.ReadAsync("two");
        await Eventually.TrueAsync(() => grain.PeekAsync().Result.Open == 2, "both readers inside");
        var writer = grain.WriteAsync("w");
        var late = grain.ReadAsync("late");
        await grain.OpenAsync("one");
        await one;
        Assert.Equal(1, (await grain.PeekAsync()).Open);
        await grain.OpenAsync("two");
        await two;
        await Eventually.TrueAsync(() => grain.PeekAsync().Result.Open == 1, "the writer inside");
        Assert.False(late.IsCompleted);
        await grain.OpenAsync("late");
        await grain.OpenAsync("w");
        await writer;
        await late;
        Assert.Equal(2, (await grain.PeekAsync()).MaxOpen);
    }

    [Fact]
    public async Task Ten_thousand_calls_that_end_at_once_do_not_grow_the_stack()
    {
        await using var cluster = new TestCluster { Configure = o => o.MaxQueuedCalls = 20_000 };
        var grain = (await cluster.StartAsync()).Grains.GetGrain<ITurnGrain>("t");
        var gate = grain.WriteAsync("g");
        var calls = Enumerable.Range(0, 10_000).Select(_ => grain.ReportAsync()).ToArray();
        await grain.OpenAsync("g");
        await gate;
        Assert.Equal(10_000, (await Task.WhenAll(calls)).Length);
    }

    [Fact]
    public async Task A_grain_with_too_many_waiting_calls_rejects_more_and_recovers()
    {
        var time = new ManualTimeProvider();
        await using var cluster = new TestCluster(time) { Configure = o => o.MaxQueuedCalls = 10 };
        var silo = await cluster.StartAsync();
        var grain = silo.Grains.GetGrain<ITurnGrain>("t");
        var first = grain.WriteAsync("g");
        await Eventually.TrueAsync(() => grain.PeekAsync().Result.Open == 1, "the first call has begun");
        await Eventually.TrueAsync(() => silo.Host.LiveCallCount == 1, "and is alone");
        Task[] calls = [first, .. Enumerable.Range(0, 9).Select(_ => grain.WriteAsync("g"))];
        var rejected = await Assert.ThrowsAsync<Orleans.Runtime.LimitExceededException>(() => grain.WriteAsync("g"));
        Assert.Contains("turn/t is overloaded: 10 calls wait", rejected.Message, StringComparison.Ordinal);
        // The gate's own call finds no room either, so the deadline clears the queue.
        await Assert.ThrowsAsync<Orleans.Runtime.LimitExceededException>(() => grain.OpenAsync("g"));
        time.Advance(TimeSpan.FromSeconds(5.2));
        foreach (var call in calls) await Assert.ThrowsAsync<TimeoutException>(() => call);
        await Eventually.TrueAsync(() => silo.Host.LiveCallCount == 1, "those who gave up have left the line");
        // The first call has begun and still waits at its gate; the others have left the line without having begun.
        Assert.Equal(1, (await grain.PeekAsync()).Open);
        await grain.OpenAsync("g");
        await Eventually.TrueAsync(() => grain.PeekAsync().Result is { Open: 0, MaxOpen: 1 }, "the line is clear");
    }
}
