using Relay.Protocol.Grid;
using Relay.Silo.Fencing;

namespace Relay.Tests.Silo.Fencing;

/// <summary>When a silo may serve, and when its leases may go to others; time is what the test says.</summary>
public sealed class SiloFenceTests
{
    private static readonly FenceTimes s_times = FenceTimes.Default;
    private static readonly Voter[] s_silos = [.. Enumerable.Range(0, 5).Select(i => new Voter($"s{i}:1", Guid.NewGuid()))];

    [Fact]
    public void Nothing_heard_is_no_right_to_serve() => Assert.False(Make(0, 3).MayServe(At(0)));

    [Fact]
    public void What_the_store_says_counts_from_the_moment_it_was_asked_and_for_the_hold_only()
    {
        var silo = Make(0, 3);
        silo.OnHeld(At(1));
        Assert.True(silo.MayServe(At(1) + s_times.HoldFor));
        Assert.False(silo.MayServe(At(1) + s_times.HoldFor + TimeSpan.FromTicks(1)));
        // An answer that arrives after a later one takes nothing back.
        silo.OnHeld(At(5));
        silo.OnHeld(At(2));
        Assert.True(silo.MayServe(At(5) + s_times.HoldFor));
    }

    [Fact]
    public void A_silo_alone_is_its_own_majority_and_two_need_each_other()
    {
        var alone = Make(0, 1);
        Assert.True(alone.HearsMajority(At(100)));
        Assert.True(alone.MayServe(At(1_000_000)));
        var (one, other) = (Make(0, 2), Make(1, 2));
        Assert.False(one.HearsMajority(At(1)));
        Beat(one, other, At(1));
        Assert.True(one.HearsMajority(At(1) + s_times.HeardFor));
        Assert.False(one.HearsMajority(At(1) + s_times.HeardFor + TimeSpan.FromTicks(1)));
    }

    [Fact]
    public void A_majority_is_as_old_as_the_oldest_answer_it_needs()
    {
        var silo = Make(0, 5);
        Beat(silo, Make(1, 5), At(1));
        Assert.False(silo.HearsMajority(At(1)));
        Beat(silo, Make(2, 5), At(3));
        Beat(silo, Make(3, 5), At(4));
        // Of five it needs two besides itself: those of 3 and 4.
        Assert.True(silo.MayServe(At(3) + s_times.HoldFor));
        Assert.False(silo.MayServe(At(3) + s_times.HoldFor + TimeSpan.FromTicks(1)));
    }

    [Fact]
    public void Voters_that_do_not_stand_in_the_store_do_not_count()
    {
        var silo = new SiloFence(s_times, s_silos[0]);
        Beat(silo, Make(1, 3), At(1));
        Beat(silo, Make(2, 3), At(1));
        Assert.False(silo.HearsMajority(At(1)));
        silo.Adopt(s_silos[..3]);
        Assert.True(silo.HearsMajority(At(1)));
    }

    [Fact]
    public void Another_start_of_a_voter_does_not_answer_for_it()
    {
        var silo = Make(0, 2);
        var restarted = new SiloFence(s_times, new Voter(s_silos[1].Address, Guid.NewGuid()));
        Assert.False(Beat(silo, s_silos[1], restarted, At(1)).Accepted);
        Assert.False(silo.HearsMajority(At(1)));
    }

    [Fact]
    public void Peers_say_whether_they_reach_the_store()
    {
        var (silo, other) = (Make(0, 2), Make(1, 2));
        Beat(silo, s_silos[1], other, At(1), store: true);
        Assert.Equal([s_silos[1]], silo.PeersWithStore(At(2)));
        Assert.Empty(silo.PeersWithStore(At(1) + s_times.HeardFor + TimeSpan.FromTicks(1)));
        Beat(silo, s_silos[1], other, At(3), store: false);
        Assert.Empty(silo.PeersWithStore(At(3)));
    }

    [Fact]
    public void A_fenced_silo_learns_it_from_whomever_it_speaks_to_and_serves_no_more()
    {
        var (fenced, peer) = (Make(0, 3), Make(1, 3));
        fenced.OnHeld(At(1));
        Assert.True(fenced.MayServe(At(1)));
        peer.OnFenced(s_silos[0].Incarnation, [], At(1));
        Assert.False(Beat(fenced, peer, At(1)).Accepted);
        Assert.True(fenced.IsFenced);
        Assert.False(fenced.MayServe(At(1)));
        // It vouches for nobody either, and nothing brings it back.
        fenced.OnHeld(At(2));
        Assert.False(fenced.MayServe(At(2)));
        Assert.False(Beat(Make(2, 3), fenced, At(2)).Accepted);
    }

    [Fact]
    public void Leases_of_a_fenced_silo_may_be_taken_when_its_voters_have_refused_it_for_the_fence_period()
    {
        var (taker, witness) = (Make(1, 3), Make(2, 3));
        var dead = s_silos[0].Incarnation;
        Assert.False(taker.MayTakeOver(dead, At(1000)));
        taker.OnFenced(dead, [s_silos[..3], []], At(10));
        // Alone it is one of three: the other two could still be a majority.
        Assert.False(taker.MayTakeOver(dead, At(1000)));
        Beat(taker, witness, At(20));
        Assert.True(witness.Knows(dead));
        Assert.False(taker.MayTakeOver(dead, At(20) + s_times.FencePeriod - TimeSpan.FromTicks(1)));
        Assert.True(taker.MayTakeOver(dead, At(20) + s_times.FencePeriod));
    }

    [Fact]
    public void Every_set_of_voters_that_the_dead_silo_may_count_must_be_blocked()
    {
        var (taker, witness) = (Make(1, 3), Make(2, 3));
        var dead = s_silos[0].Incarnation;
        taker.OnFenced(dead, [s_silos[..3], s_silos], At(0));
        Beat(taker, witness, At(0));
        // Of the five it counted before, three could still hear each other.
        Assert.False(taker.MayTakeOver(dead, At(1000)));
        Beat(taker, Make(3, 5), At(1000));
        Assert.True(taker.MayTakeOver(dead, At(1000) + s_times.FencePeriod));
    }

    [Fact]
    public void A_witness_that_restarts_has_forgotten_until_it_says_so_again()
    {
        var (taker, witness) = (Make(1, 3), Make(2, 3));
        var dead = s_silos[0].Incarnation;
        taker.OnFenced(dead, [s_silos[..3]], At(0));
        Beat(taker, witness, At(0));
        var again = new Voter(s_silos[2].Address, Guid.NewGuid());
        taker.OnAnswer(again, new PeerHeartbeatAnswer(true, again.Incarnation, true, []), At(50), At(50));
        Assert.False(taker.MayTakeOver(dead, At(1000)));
        Beat(taker, again, new SiloFence(s_times, again), At(1000));
        Assert.True(taker.MayTakeOver(dead, At(1000) + s_times.FencePeriod));
    }

    [Fact]
    public void A_silo_of_a_version_without_fences_is_never_taken_over_fast()
    {
        var taker = Make(1, 3);
        taker.OnFenced(s_silos[0].Incarnation, [[new Voter("unknown", Guid.Empty)]], At(0));
        Beat(taker, Make(2, 3), At(0));
        Assert.False(taker.MayTakeOver(s_silos[0].Incarnation, At(1_000_000)));
    }

    [Fact]
    public void Of_two_the_survivor_may_take_over_alone()
    {
        var taker = Make(1, 2);
        taker.OnFenced(s_silos[0].Incarnation, [s_silos[..2], []], At(0));
        Assert.True(taker.MayTakeOver(s_silos[0].Incarnation, At(0) + s_times.FencePeriod));
    }

    [Fact]
    public void The_two_periods_do_not_overlap_with_clocks_that_drift_and_ticks_that_are_late()
    {
        // A tick of the loop and the goodbye come on top of the hold.
        var closedAfter = (s_times.HoldFor + TimeSpan.FromSeconds(2)) * (1 + FenceTimes.MaxDrift);
        Assert.True(closedAfter < s_times.FencePeriod * (1 - FenceTimes.MaxDrift));
        Assert.True(s_times.HeardFor + s_times.Heartbeat < s_times.HoldFor);
    }

    private static TimeSpan At(double seconds) => TimeSpan.FromHours(1) + TimeSpan.FromSeconds(seconds);

    private static SiloFence Make(int index, int voters)
    {
        var silo = new SiloFence(s_times, s_silos[index]);
        silo.Adopt(s_silos[..voters]);
        return silo;
    }

    private static PeerHeartbeatAnswer Beat(SiloFence from, SiloFence to, TimeSpan at) => Beat(from, to.Self, to, at);

    private static PeerHeartbeatAnswer Beat(SiloFence from, Voter meant, SiloFence to, TimeSpan at, bool store = true)
    {
        var answer = to.OnHeartbeat(from.Beat(meant.Incarnation, true), store, at);
        from.OnAnswer(meant, answer, at, at);
        return answer;
    }
}
