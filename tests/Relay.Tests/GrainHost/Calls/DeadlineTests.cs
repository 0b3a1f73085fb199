using Relay.TestKit;
using Relay.Tests.GrainHost.Cluster;
using Xunit;

namespace Relay.Tests.GrainHost.Calls;

/// <summary>Each case within one silo, and from one silo to another.</summary>
public sealed class DeadlineTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_call_past_its_deadline_fails_and_its_token_is_cancelled(bool across)
    {
        await using var setting = await Setting.CreateAsync(across);
        var wait = setting.Grain.WaitAsync("w", CancellationToken.None);
        await setting.SeenAsync("w: begin");
        setting.Time.Advance(TimeSpan.FromSeconds(4.9));
        Assert.False(wait.IsCompleted);
        await Eventually.TrueAsync(() => wait.IsCompleted, setting.Time, TimeSpan.FromMilliseconds(50), "the caller knows");
        var failure = await Assert.ThrowsAsync<TimeoutException>(() => wait);
        Assert.Contains("WaitAsync on ", failure.Message, StringComparison.Ordinal);
        await setting.SeenAsync("w: cancelled");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_method_has_its_own_deadline(bool across)
    {
        await using var setting = await Setting.CreateAsync(across);
        var wait = setting.Grain.WaitShortAsync("w", CancellationToken.None);
        await setting.SeenAsync("w: begin");
        setting.Time.Advance(TimeSpan.FromSeconds(1.2));
        await Eventually.TrueAsync(() => wait.IsCompleted, "the caller knows");
        await Assert.ThrowsAsync<TimeoutException>(() => wait);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_call_that_was_not_begun_by_its_deadline_never_is(bool across)
    {
        await using var setting = await Setting.CreateAsync(across);
        var first = setting.Grain.WaitAsync("first", CancellationToken.None);
        await setting.SeenAsync("first: begin");
        var late = setting.Grain.DoAsync("late");
        await Eventually.TrueAsync(() => setting.Target.Host.LiveCallCount == 2, "the second call waits");
        setting.Time.Advance(TimeSpan.FromSeconds(5.2));
        await Assert.ThrowsAsync<TimeoutException>(() => first);
        await Assert.ThrowsAsync<TimeoutException>(() => late);
        await setting.SeenAsync("first: cancelled");
        await setting.Grain.DoAsync("after");
        Assert.DoesNotContain($"{setting.Key}: late", setting.Target.Journal.Lines);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_caller_that_cancels_is_free_at_once_and_the_grain_learns_it(bool across)
    {
        await using var setting = await Setting.CreateAsync(across);
        using var cancel = new CancellationTokenSource();
        var wait = setting.Grain.WaitAsync("w", cancel.Token);
        await setting.SeenAsync("w: begin");
        await cancel.CancelAsync();
        var cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait);
        Assert.Equal(cancel.Token, cancelled.CancellationToken);
        await setting.SeenAsync("w: cancelled");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_waiting_call_that_is_cancelled_is_never_begun(bool across)
    {
        await using var setting = await Setting.CreateAsync(across);
        using var cancelFirst = new CancellationTokenSource();
        using var cancel = new CancellationTokenSource();
        var first = setting.Grain.WaitAsync("first", cancelFirst.Token);
        await setting.SeenAsync("first: begin");
        var second = setting.Grain.WaitAsync("second", cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        await cancelFirst.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        await setting.Grain.DoAsync("after");
        Assert.DoesNotContain($"{setting.Key}: second: begin", setting.Target.Journal.Lines);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_call_with_a_cancelled_token_is_not_sent(bool across)
    {
        await using var setting = await Setting.CreateAsync(across);
        var wait = setting.Grain.WaitAsync("w", new CancellationToken(canceled: true));
        Assert.True(wait.IsCanceled);
        Assert.Empty(setting.Target.Journal.Lines);
    }

    [Fact]
    public async Task Grains_that_call_each_other_in_a_ring_are_freed_by_the_deadline()
    {
        var time = new ManualTimeProvider();
        await using var cluster = new TestCluster(time);
        var silo = await cluster.StartAsync();
        var ring = silo.Grains.GetGrain<ILifeGrain>("a").CallRoundAsync("b", "a");
        await Eventually.TrueAsync(() => silo.Journal.Lines.Contains("b: activate"), "the ring is closed");
        await Eventually.TrueAsync(() => ring.IsCompleted, time, TimeSpan.FromMilliseconds(100), "the ring is broken");
        await Assert.ThrowsAsync<TimeoutException>(() => ring);
        // The innermost call has a deadline of its own, a little later, and may still have found its turn.
        Assert.InRange(await silo.Grains.GetGrain<ILifeGrain>("a").CountAsync(), 1, 2);
    }

    private sealed record Setting(ManualTimeProvider Time, TestCluster Cluster, TestSilo Target, ILifeGrain Grain, string Key) : IAsyncDisposable
    {
        public static async Task<Setting> CreateAsync(bool across)
        {
            var time = new ManualTimeProvider();
            // Manual time would outrun the probes.
            var cluster = new TestCluster(time) { Configure = o => o.MissedProbes = 1000 };
            var silos = await cluster.StartAsync("one", "two");
            var key = Placing.KeyOn(silos[across ? 1 : 0], silos[0]);
            return new Setting(time, cluster, silos[across ? 1 : 0], silos[0].Grains.GetGrain<ILifeGrain>(key), key);
        }

        public Task SeenAsync(string line) => Eventually.TrueAsync(() => Target.Journal.Lines.Contains($"{Key}: {line}"), line);

        public ValueTask DisposeAsync() => Cluster.DisposeAsync();
    }
}
