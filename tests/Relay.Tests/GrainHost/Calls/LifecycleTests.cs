using Orleans.Runtime;
using Relay.TestKit;
using Relay.Tests.GrainHost.Cluster;
using Xunit;

namespace Relay.Tests.GrainHost.Calls;

public sealed class LifecycleTests
{
    [Fact]
    public async Task An_activation_is_made_at_the_first_call_and_kept()
    {
        await using var cluster = new TestCluster();
        var silo = await cluster.StartAsync();
        var grain = silo.Grains.GetGrain<ILifeGrain>("a");
        Assert.Equal(0, silo.Host.ActivationCount);
        Assert.Equal(1, await grain.CountAsync());
        Assert.Equal(2, await silo.Grains.GetGrain<ILifeGrain>("a").CountAsync());
        Assert.Equal(1, await silo.Grains.GetGrain<ILifeGrain>("b").CountAsync());
        Assert.Equal(["a: activate", "b: activate"], silo.Journal.Lines);
    }

    [Fact]
    public async Task An_idle_activation_ends_after_the_collection_age_and_one_in_use_does_not()
    {
        var time = new ManualTimeProvider();
        await using var cluster = new TestCluster(time);
        var silo = await cluster.StartAsync();
        await silo.Grains.GetGrain<ILifeGrain>("idle").CountAsync();
        await silo.Grains.GetGrain<ILifeGrain>("kept").DelayLeavingAsync(TimeSpan.FromHours(1));
        await OverAsync();
        time.Advance(TimeSpan.FromMinutes(14));
        await silo.Grains.GetGrain<ILifeGrain>("used").CountAsync();
        await OverAsync();
        time.Advance(TimeSpan.FromMinutes(2));
        await Eventually.TrueAsync(() => silo.Journal.Lines.Contains("idle: dispose"), "the idle one has ended");
        Assert.Contains("idle: deactivate ActivationIdle", silo.Journal.Lines);
        Assert.Equal(2, silo.Host.ActivationCount);
        Assert.Equal(1, await silo.Grains.GetGrain<ILifeGrain>("idle").CountAsync());
        await OverAsync();
        time.Advance(TimeSpan.FromMinutes(62));
        await Eventually.TrueAsync(() => silo.Host.ActivationCount == 0, "all have ended");

        // A caller has its answer a moment before the call counts as over, which is when its grain was last used.
        Task OverAsync() => Eventually.TrueAsync(() => silo.Host.LiveCallCount == 0, "the calls are over");
    }

    [Fact]
    public async Task A_call_that_waits_while_the_grain_leaves_gets_a_new_activation()
    {
        await using var cluster = new TestCluster();
        var silo = await cluster.StartAsync();
        var grain = silo.Grains.GetGrain<ILifeGrain>("a");
        await grain.CountAsync();
        var leave = grain.LeaveAsync();
        var counts = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => grain.CountAsync()));
        await leave;
        Assert.Equal(Enumerable.Range(1, 50), counts);
        Assert.Equal(2, silo.Journal.Lines.Count(line => line == "a: activate"));
        Assert.Contains("a: deactivate ApplicationRequested", silo.Journal.Lines);
    }

    [Fact]
    public async Task A_grain_that_cannot_be_activated_fails_its_calls_and_is_tried_anew()
    {
        await using var cluster = new TestCluster();
        var silo = await cluster.StartAsync();
        var grain = silo.Grains.GetGrain<IBrokenGrain>("x");
        for (var i = 1; i <= 2; i++)
        {
            var failure = await Assert.ThrowsAsync<OrleansException>(grain.DoAsync);
            Assert.Equal("The activation of broken/x failed: no state", failure.Message);
            Assert.Equal(i, silo.Journal.Lines.Count);
        }

        Assert.Equal(0, silo.Host.ActivationCount);
    }

    [Fact]
    public async Task A_timer_ticks_in_turns_survives_a_failing_tick_and_stops_when_disposed()
    {
        var time = new ManualTimeProvider();
        await using var cluster = new TestCluster(time);
        var silo = await cluster.StartAsync();
        var grain = silo.Grains.GetGrain<ILifeGrain>("t");
        await grain.StartTimerAsync(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2), keepAlive: false);
        for (var tick = 1; tick <= 4; tick++)
        {
            time.Advance(TimeSpan.FromSeconds(tick == 1 ? 0.9 : 1.9));
            Assert.Equal(tick - 1, await grain.TicksAsync());
            time.Advance(TimeSpan.FromSeconds(0.1));
            await Eventually.TrueAsync(() => grain.TicksAsync().Result == tick, $"tick {tick}");
        }

        await grain.StopTimerAsync();
        time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(4, await grain.TicksAsync());
    }

    [Theory]
    [InlineData(30)] // further on
    [InlineData(1)] // falls due while the tick still runs
    public async Task A_timer_that_is_changed_by_its_own_tick_obeys_the_change(int seconds)
    {
        var time = new ManualTimeProvider();
        await using var cluster = new TestCluster(time) { Configure = o => o.CallTimeout = TimeSpan.FromHours(1) };
        var silo = await cluster.StartAsync();
        var grain = silo.Grains.GetGrain<ITimerGrain>("t");
        await grain.StartAsync(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5), changeTo: TimeSpan.FromSeconds(seconds));
        time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.TrueAsync(() => silo.Journal.Lines.Contains("tick 1: begin"), "the first tick runs");
        if (seconds == 1) time.Advance(TimeSpan.FromSeconds(2));
        await grain.GoOnAsync();
        await Eventually.TrueAsync(() => silo.Journal.Lines.Contains("tick 1: end"), "the first tick has ended");
        if (seconds > 1)
        {
            time.Advance(TimeSpan.FromSeconds(seconds - 1));
            await grain.GoOnAsync();
            Assert.DoesNotContain("tick 2: begin", silo.Journal.Lines);
            time.Advance(TimeSpan.FromSeconds(1));
        }

        await Eventually.TrueAsync(() => silo.Journal.Lines.Contains("tick 2: begin"), time, TimeSpan.Zero, "the second tick runs");
    }

    [Fact]
    public async Task A_timer_keeps_its_grain_only_when_asked_to()
    {
        var time = new ManualTimeProvider();
        await using var cluster = new TestCluster(time);
        var silo = await cluster.StartAsync();
        var own = time.ArmedTimers;
        await silo.Grains.GetGrain<ILifeGrain>("kept").StartTimerAsync(TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(30), keepAlive: true);
        await silo.Grains.GetGrain<ILifeGrain>("left").StartTimerAsync(TimeSpan.FromSeconds(30), TimeSpan.FromSeconds(30), keepAlive: false);
        // The time-outs of the activations are gone: nothing of theirs is under way any more.
        await Eventually.TrueAsync(() => time.ArmedTimers == own + 2, () => $"{time.ArmedTimers} timers, {own} are the silo's own");
        for (var i = 1; i <= 30; i++)
        {
            time.Advance(TimeSpan.FromSeconds(30));
            await TickedAsync(i, timers: 2);
        }

        // After fifteen minutes, at the next look, and while no time passes for its end.
        time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.TrueAsync(() => silo.Journal.Lines.Contains("left: dispose") && time.ArmedTimers == own + 1, "the other one has ended");
        time.Advance(TimeSpan.FromSeconds(29));
        await TickedAsync(31, timers: 1);
        for (var i = 32; i <= 34; i++)
        {
            time.Advance(TimeSpan.FromSeconds(30));
            await TickedAsync(i, timers: 1);
        }

        Assert.Equal(1, silo.Host.ActivationCount);

        // A tick has ended when its timer is armed again.
        Task TickedAsync(int tick, int timers) =>
            Eventually.TrueAsync(() => silo.Journal.Lines.Contains($"kept: tick {tick}") && time.ArmedTimers == own + timers, () => $"tick {tick}: {time.ArmedTimers - own} timers");
    }

    [Fact]
    public async Task A_silo_that_stops_deactivates_its_grains_and_takes_no_more_calls()
    {
        await using var cluster = new TestCluster();
        var silo = await cluster.StartAsync();
        var grain = silo.Grains.GetGrain<ILifeGrain>("a");
        await grain.CountAsync();
        await silo.Host.StopAsync(CancellationToken.None);
        Assert.Equal(["a: activate", "a: deactivate ShuttingDown", "a: dispose"], silo.Journal.Lines);
        await Assert.ThrowsAsync<SiloUnavailableException>(grain.CountAsync);
    }
}
