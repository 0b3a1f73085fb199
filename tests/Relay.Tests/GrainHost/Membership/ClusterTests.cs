using Orleans.Runtime;
using Relay.GrainHost.Membership;
using Relay.Tests.GrainHost.Cluster;
using Xunit;

namespace Relay.Tests.GrainHost.Membership;

public sealed class ClusterTests
{
    private static readonly string[] s_three = ["one", "two", "three"];

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Three_silos_agree_where_each_grain_is_and_share_them_evenly()
    {
        await using var cluster = new TestCluster();
        var silos = await cluster.StartAsync(s_three);
        var counts = new Dictionary<string, int>();
        for (var i = 0; i < 300; i++)
        {
            var places = new HashSet<string>();
            foreach (var silo in silos) places.Add(await silo.Grains.GetGrain<ILifeGrain>($"g{i}").WhereAsync());
            var place = Assert.Single(places);
            counts[place] = counts.GetValueOrDefault(place) + 1;
        }

        Assert.Equal(300, silos.Sum(s => s.Host.ActivationCount));
        Assert.All(s_three, name => Assert.InRange(counts[name], 60, 140));
    }

    [Fact]
    public async Task A_silo_that_leaves_gives_its_grains_to_the_others_and_the_rest_stay()
    {
        await using var cluster = new TestCluster();
        var silos = await cluster.StartAsync(s_three);
        var keys = Enumerable.Range(0, 60).Select(i => $"g{i}").ToArray();
        var before = new Dictionary<string, string>();
        foreach (var key in keys)
        {
            before[key] = await silos[0].Grains.GetGrain<ILifeGrain>(key).WhereAsync();
            await silos[0].Grains.GetGrain<ILifeGrain>(key).CountAsync();
        }

        await silos[2].Host.StopAsync(Cancel);
        await Eventually.TrueAsync(() => silos.Take(2).All(s => s.Host.Membership.ActiveSilos.Length == 2), "both have heard of it");
        foreach (var key in keys)
        {
            var place = await silos[1].Grains.GetGrain<ILifeGrain>(key).WhereAsync();
            var count = await silos[1].Grains.GetGrain<ILifeGrain>(key).CountAsync();
            if (before[key] == "three") Assert.Equal(1, count);
            else Assert.Equal((before[key], 2), (place, count));
        }
    }

    [Fact]
    public async Task A_silo_that_joins_takes_over_its_share()
    {
        await using var cluster = new TestCluster();
        var one = await cluster.StartAsync("one");
        for (var i = 0; i < 40; i++) await one.Grains.GetGrain<ILifeGrain>($"g{i}").CountAsync();
        Assert.Equal(40, one.Host.ActivationCount);
        var two = await cluster.StartAsync("two");
        await Eventually.TrueAsync(() => one.Host.Membership.ActiveSilos.Length == 2, "the first has heard of it");
        await Eventually.TrueAsync(() => one.Host.ActivationCount < 40, "the first has let some go");
        for (var i = 0; i < 40; i++) await one.Grains.GetGrain<ILifeGrain>($"g{i}").CountAsync();
        // Those that it lets go end by turns of their own.
        await Eventually.TrueAsync(() => one.Host.ActivationCount + two.Host.ActivationCount == 40, () => $"{one.Host.ActivationCount} and {two.Host.ActivationCount} are there");
        Assert.InRange(two.Host.ActivationCount, 8, 32);
        Assert.Contains(one.Journal.Lines, line => line.EndsWith("deactivate DirectoryFailure", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_silo_that_dies_is_found_out_and_its_grains_live_elsewhere()
    {
        await using var cluster = new TestCluster();
        var silos = await cluster.StartAsync(s_three);
        var key = Placing.KeyOn(silos[2], silos[0]);
        var grain = silos[0].Grains.GetGrain<ILifeGrain>(key);
        Assert.Equal("three", await grain.WhereAsync());
        var hanging = grain.HangAsync();
        await Eventually.TrueAsync(() => silos[2].Journal.Lines.Contains($"{key}: activate"), "the grain is there");
        await cluster.KillAsync(silos[2]);
        var lost = await Assert.ThrowsAsync<SiloUnavailableException>(() => hanging);
        Assert.Contains("may or may not have been executed", lost.Message, StringComparison.Ordinal);
        await Eventually.TrueAsync(() => silos.Take(2).All(s => s.Host.Membership.ActiveSilos.Length == 2), "both have declared it dead");
        Assert.NotEqual("three", await grain.WhereAsync());
        var row = Assert.Single((await cluster.Table.ReadAsync(Cancel)).Members, m => m.Name == "three");
        Assert.Equal(MemberStatus.Dead, row.Status);
    }

    [Fact]
    public async Task A_killed_silo_is_found_out_by_its_lost_link_before_any_round_of_probes()
    {
        // The first round comes after an hour; a third of the interval lies between two tries.
        await using var cluster = new TestCluster { Configure = o => (o.ProbeInterval, o.MissedProbes) = (TimeSpan.FromHours(1), 1) };
        var silos = await cluster.StartAsync(s_three);
        await silos[0].Grains.GetGrain<ILifeGrain>(Placing.KeyOn(silos[2], silos[0])).WhereAsync();
        await cluster.KillAsync(silos[2]);
        await Eventually.TrueAsync(() => silos[0].Host.Membership.ActiveSilos.Length == 2, "it is declared dead");
    }

    [Fact]
    public async Task A_silo_that_is_cut_off_without_a_refusal_is_left_to_the_rounds()
    {
        await using var cluster = new TestCluster { Configure = o => o.ProbeInterval = TimeSpan.FromHours(1) };
        var silos = await cluster.StartAsync(s_three);
        await silos[0].Grains.GetGrain<ILifeGrain>(Placing.KeyOn(silos[2], silos[0])).WhereAsync();
        var three = silos[0].Host.Membership.ActiveSilos.Single(m => m.Name == "three");
        cluster.Cut("three");
        await silos[0].Host.Detector.SuspectAsync(three, Cancel);
        Assert.Equal(3, silos[0].Host.Membership.ActiveSilos.Length);
    }

    [Fact]
    public async Task A_silo_that_stood_still_takes_no_calls_until_it_has_looked_at_the_table()
    {
        var time = new JumpingTime();
        var table = new SlowTable(new InMemoryMembershipTable(time));
        await using var cluster = new TestCluster(time, table)
        {
            Configure = o => (o.MissedProbes, o.RefreshInterval) = (1000, TimeSpan.FromHours(1)),
            SuspiciousPause = TimeSpan.FromSeconds(2),
        };
        var silos = await cluster.StartAsync("one", "two");
        var grain = silos[0].Grains.GetGrain<ILifeGrain>(Placing.KeyOn(silos[1], silos[0]));
        Assert.Equal(1, await grain.CountAsync());
        var reading = table.Hold();
        time.Jump(TimeSpan.FromSeconds(3));
        // Both stood still, as far as they can tell; the second must not answer before it has read.
        var refused = await Assert.ThrowsAsync<OrleansMessageRejectionException>(() => grain.CountAsync());
        Assert.Contains("stood still", refused.Message, StringComparison.Ordinal);
        reading.SetResult();
        await Eventually.TrueAsync(() => !silos[1].Host.StoodStill, "it has read the table");
        Assert.Equal(2, await grain.CountAsync());
    }

    [Fact]
    public async Task A_frozen_silo_is_declared_dead_though_its_links_stand_and_stops_when_it_learns_so()
    {
        // Not less: a busy machine would miss two in a row, and who is probed by a new connection loses the calls on the old one.
        await using var cluster = new TestCluster { Configure = o => o.ProbeInterval = TimeSpan.FromMilliseconds(500) };
        var silos = await cluster.StartAsync(s_three);
        var evicted = new TaskCompletionSource();
        silos[2].Host.Evicted += evicted.SetResult;
        var key = Placing.KeyOn(silos[2], silos[0]);
        var grain = silos[0].Grains.GetGrain<ILifeGrain>(key);
        await grain.CountAsync();
        await Eventually.TrueAsync(() => silos.Take(2).All(s => s.Host.Detector.Hears(silos[2].Host.Incarnation)), "it has answered, and is given no time to start");
        cluster.Freeze("three");
        var lost = grain.CountAsync();
        await Assert.ThrowsAsync<SiloUnavailableException>(() => lost);
        // One of the two has declared it dead; a call that comes before its word to the other would be sent on to the frozen one.
        await Eventually.TrueAsync(() => silos.Take(2).All(s => s.Host.Membership.ActiveSilos.Length == 2), "both have heard of it");
        Assert.Equal(1, await grain.CountAsync());
        Assert.NotEqual("three", await grain.WhereAsync());
        // The frozen one may still read the table.
        await evicted.Task.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel);
        cluster.Thaw("three");
        await Eventually.TrueAsync(() => silos[2].Host.ActivationCount == 0, "it has let go its grains");
        await Assert.ThrowsAsync<SiloUnavailableException>(() => silos[2].Grains.GetGrain<ILifeGrain>(key).CountAsync());
    }

    [Fact]
    public async Task A_call_whose_caller_dies_is_cancelled()
    {
        await using var cluster = new TestCluster { Configure = o => o.MissedProbes = 1000 };
        var silos = await cluster.StartAsync("one", "two");
        var key = Placing.KeyOn(silos[1], silos[0]);
        var wait = silos[0].Grains.GetGrain<ILifeGrain>(key).WaitAsync("w", Cancel);
        await Eventually.TrueAsync(() => silos[1].Journal.Lines.Contains($"{key}: w: begin"), "the call runs");
        await cluster.KillAsync(silos[0]);
        await Assert.ThrowsAsync<SiloUnavailableException>(() => wait);
        await Eventually.TrueAsync(() => silos[1].Journal.Lines.Contains($"{key}: w: cancelled"), "the grain knows");
    }

    [Fact]
    public async Task The_others_are_told_of_changes_and_listeners_too()
    {
        await using var cluster = new TestCluster { Configure = o => o.RefreshInterval = TimeSpan.FromHours(1) };
        var one = await cluster.StartAsync("one");
        var seen = new System.Collections.Concurrent.ConcurrentQueue<string>();
        one.Host.Membership.Changed += m => seen.Enqueue(string.Join(' ', m.ActiveSilos.Select(s => s.Name)));
        var two = await cluster.StartAsync("two");
        await Eventually.TrueAsync(() => seen.Contains("one two"), "it has heard of the second");
        await two.Host.StopAsync(Cancel);
        await Eventually.TrueAsync(() => seen.LastOrDefault() == "one", "it has heard that the second left");
    }

    [Fact]
    public async Task A_silo_that_others_declared_dead_stops_hosting_and_says_so()
    {
        await using var cluster = new TestCluster();
        var silos = await cluster.StartAsync(s_three);
        var evicted = 0;
        silos[2].Host.Evicted += () => Interlocked.Increment(ref evicted);
        await silos[2].Grains.GetGrain<ILifeGrain>(Placing.KeyOn(silos[2], silos[2])).CountAsync();
        Assert.True(await silos[0].Host.Agent.DeclareDeadAsync(silos[0].Host.Membership.ActiveSilos.Single(m => m.Name == "three"), "a test", Cancel));
        await silos[2].Host.Membership.RefreshAsync(Cancel);
        await Eventually.TrueAsync(() => silos[2].Host.ActivationCount == 0, "its grains have ended");
        Assert.Equal(1, evicted);
        await Eventually.TrueAsync(() => silos.Take(2).All(s => s.Host.Membership.ActiveSilos.Length == 2), "both have heard");
        Assert.Equal(1, await silos[0].Grains.GetGrain<ILifeGrain>(Placing.KeyOn(silos[1], silos[0])).CountAsync());
    }

    [Fact]
    public async Task Who_hears_nobody_of_several_declares_nobody_dead()
    {
        await using var cluster = new TestCluster { Configure = o => o.ProbeInterval = TimeSpan.FromMilliseconds(300) };
        var silos = await cluster.StartAsync(s_three);
        // The one that is cut off has the store to itself; the other two hear each other.
        cluster.Cut("one");
        await Eventually.TrueAsync(() => silos[1].Host.Membership.ActiveSilos.Length == 2, "the majority has declared it dead");
        var members = (await cluster.Table.ReadAsync(Cancel)).Members;
        Assert.Equal(["one"], members.Where(m => m.Status == MemberStatus.Dead).Select(m => m.Name));
    }

    [Fact]
    public async Task A_silo_that_has_never_answered_is_given_the_time_to_start()
    {
        await using var cluster = new TestCluster { Configure = o => o.ProbeInterval = TimeSpan.FromMilliseconds(300) };
        var two = await cluster.StartAsync("one", "two");
        cluster.Freeze("slow");
        var slow = cluster.Create("slow");
        await slow.Host.StartAsync(Cancel);
        await Eventually.TrueAsync(() => two.All(s => s.Host.Detector.MissesOf(slow.Host.Incarnation) >= 6), "twice the probes that kill one who has answered are lost");
        Assert.Equal(3, (await cluster.Table.ReadAsync(Cancel)).Members.Count(m => m.Status == MemberStatus.Active));
        // It begins to answer, and falls silent for good.
        cluster.Thaw("slow");
        await Eventually.TrueAsync(() => two.All(s => s.Host.Detector.Hears(slow.Host.Incarnation)), "it has started");
        cluster.Freeze("slow");
        await Eventually.TrueAsync(() => two.All(s => s.Host.Membership.ActiveSilos.Length == 2), "it is declared dead");
    }

    [Fact]
    public async Task Two_that_do_not_hear_each_other_declare_nobody_dead_while_a_third_hears_both()
    {
        var time = new JumpingTime();
        await using var cluster = new TestCluster(time) { Configure = o => o.ProbeInterval = TimeSpan.FromMilliseconds(300) };
        var silos = await cluster.StartAsync(s_three);
        await Eventually.TrueAsync(() => silos.All(s => silos.Where(o => o != s).All(o => s.Host.Detector.Hears(o.Host.Incarnation))), "all hear each other");
        cluster.CutPair("one", "two");
        // More rounds than it takes to be declared dead by a silo in the worst health.
        await Eventually.TrueAsync(() => silos[0].Host.Detector.MissesOf(silos[1].Host.Incarnation) > 12 && silos[1].Host.Detector.MissesOf(silos[0].Host.Incarnation) > 12, "the two have not heard each other for long");
        Assert.Equal(3, (await cluster.Table.ReadAsync(Cancel)).Members.Count(m => m.Status == MemberStatus.Active));
        // Nor when all three stood still: the third has heard nobody meanwhile because it has asked nobody.
        for (var i = 0; i < 2; i++)
        {
            time.Jump(TimeSpan.FromSeconds(1.5));
            // What comes of a round is known when the next one is over.
            for (var round = 0; round < 2; round++) await Task.WhenAll(RoundAsync(silos[0], silos[1]), RoundAsync(silos[1], silos[0]));
            Assert.Equal(3, (await cluster.Table.ReadAsync(Cancel)).Members.Count(m => m.Status == MemberStatus.Active));
        }

        // What one of the two stands still for is seen by the third, who is believed.
        cluster.Freeze("two");
        await Eventually.TrueAsync(() => silos[0].Host.Membership.ActiveSilos.Length == 2, "the one that is frozen is declared dead all the same");
        Assert.Equal(["two"], (await cluster.Table.ReadAsync(Cancel)).Members.Where(m => m.Status == MemberStatus.Dead).Select(m => m.Name));

        static Task RoundAsync(TestSilo prober, TestSilo silent)
        {
            var misses = prober.Host.Detector.MissesOf(silent.Host.Incarnation);
            return Eventually.TrueAsync(() => prober.Host.Detector.MissesOf(silent.Host.Incarnation) != misses, () => $"{prober.Name} still counts {misses} misses of {silent.Name}");
        }
    }

    [Fact]
    public async Task A_restarted_silo_replaces_its_earlier_start_at_once()
    {
        await using var cluster = new TestCluster { Configure = o => o.MissedProbes = 1000 };
        var silos = await cluster.StartAsync("one", "two");
        var key = Placing.KeyOn(silos[1], silos[0]);
        await silos[0].Grains.GetGrain<ILifeGrain>(key).CountAsync();
        await cluster.KillAsync(silos[1]);
        cluster.Mend("two");
        var again = await cluster.StartAsync("two");
        await Eventually.TrueAsync(() => silos[0].Host.Membership.ActiveSilos.Any(m => m.Incarnation == again.Host.Incarnation), "the other has heard");
        Assert.Equal(1, await silos[0].Grains.GetGrain<ILifeGrain>(key).CountAsync());
        Assert.Contains($"{key}: activate", again.Journal.Lines);
    }

    [Fact]
    public async Task A_caller_with_an_older_view_is_forwarded_once()
    {
        await using var cluster = new TestCluster { Configure = o => o.RefreshInterval = TimeSpan.FromHours(1) };
        var silos = await cluster.StartAsync("one", "two");
        // Two silos without the third in their view: its keys look as if they were the second's.
        var stale = silos[0].Host.Agent.View;
        var three = cluster.Create("three");
        await three.Host.StartAsync(Cancel);
        await silos[1].Host.Membership.RefreshAsync(Cancel);
        var key = Placing.KeysOn(three, silos[1]).First(k => OwnerIn(stale, silos[0], k) == "two:1");
        var answer = await silos[0].Host.Links.Get(silos[1].Host.Membership.ActiveSilos.Single(m => m.Name == "two"))
            .CallAsync(key, Where(silos[0]), default, silos[0].Host.Clock.After(TimeSpan.FromMinutes(1)), 0, Cancel);
        Assert.Equal("three", answer);
    }

    [Fact]
    public async Task A_call_that_was_forwarded_is_not_forwarded_again()
    {
        await using var cluster = new TestCluster();
        var silos = await cluster.StartAsync("one", "two");
        var foreign = Placing.KeyOn(silos[0], silos[1]);
        var two = silos[0].Host.Membership.ActiveSilos.Single(m => m.Name == "two");
        var refused = await Assert.ThrowsAsync<OrleansMessageRejectionException>(() =>
            silos[0].Host.Links.Get(two).CallAsync(foreign, Where(silos[0]), default, silos[0].Host.Clock.After(TimeSpan.FromMinutes(1)), 1, Cancel));
        Assert.Contains("The silos disagree", refused.Message, StringComparison.Ordinal);
    }

    private static string OwnerIn(MembershipView view, TestSilo silo, string key)
    {
        var grainClass = silo.Host.Types.Get(typeof(ILifeGrain)).Class!;
        return view.OwnerOf(Relay.GrainHost.Types.StableHash.Combine(grainClass.Hash, Relay.GrainHost.Types.StableHash.Of(key)))!.Address;
    }

    private static Relay.GrainHost.Types.GrainMethod<ValueTuple, string> Where(TestSilo silo) =>
        (Relay.GrainHost.Types.GrainMethod<ValueTuple, string>)silo.Host.Types.Get(typeof(ILifeGrain)).Methods.Single(m => m.Name == nameof(ILifeGrain.WhereAsync));
}
