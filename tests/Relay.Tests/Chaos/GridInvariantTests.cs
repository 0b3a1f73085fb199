using Relay.Chaos.Checks;
using Relay.Chaos.History;
using static Relay.Tests.Chaos.GivenHistory;

namespace Relay.Tests.Chaos;

/// <summary>The checker finds what it is there for, and nothing else: silos, spools, recovery.</summary>
public sealed class GridInvariantTests
{
    [Fact]
    public void An_event_that_is_in_the_store_twice_is_found()
    {
        var once = new HistoryEvent(0, Kinds.EventRow) { Session = Session, Id = 1, Count = 1 };
        Assert.Empty(Check("spool delivered exactly once", once, once with { Id = 2 }).Violations);
        Assert.Single(Check("spool delivered exactly once", once, once with { Id = 2, Count = 2 }).Violations);
        // Delivered again after a crash: the store knows it already.
        var delivered = new HistoryEvent(0, Kinds.SpoolDelivered) { Silo = "silo-1", Reason = "record-1" };
        Assert.Empty(Check("spool delivered exactly once", once, delivered, delivered).Violations);
    }

    [Fact]
    public void No_new_session_in_a_store_outage_is_found()
    {
        var served = new HistoryEvent(0, Kinds.ServedMeanwhile) { Id = 1, Fault = "store.stop", Good = true };
        Assert.Empty(Check("new sessions without the store", served).Violations);
        Assert.Single(Check("new sessions without the store", served with { Good = false, Reason = "alpha: refused" }).Violations);
    }

    [Fact]
    public void A_recovery_that_takes_too_long_is_found()
    {
        var recovered = new HistoryEvent(0, Kinds.Recovered) { Id = 1, Fault = "silo.kill", Good = true, Seconds = 2 };
        Assert.Empty(Check("recovers in time", recovered).Violations);
        Assert.Single(Check("recovers in time", recovered with { Good = false, Reason = "alpha: refused" }).Violations);
    }

    [Fact]
    public void A_silo_declared_dead_without_cause_is_found()
    {
        HistoryEvent[] silos = [Node(0, Kinds.NodeStarted, "silo-1"), Node(0, Kinds.NodeStarted, "silo-2")];
        var dead = new HistoryEvent(20_000, Kinds.DeclaredDead) { Node = "silo-1", Silo = "silo-2" };
        Assert.Single(Check("no silo declared dead without cause", [.. silos, dead]).Violations);
        Assert.Empty(Check("no silo declared dead without cause", [.. silos, dead, .. Fault(15_000, 25_000, "silo.freeze", "silo-2")]).Violations);
        Assert.Empty(Check("no silo declared dead without cause", [.. silos, dead, .. Fault(15_000, 25_000, "silo.cut-pair", "silo-1|silo-2")]).Violations);
        Assert.Single(Check("no silo declared dead without cause", [.. silos, dead, .. Fault(15_000, 25_000, "silo.freeze", "silo-3")]).Violations);
    }

    [Fact]
    public void A_silo_declared_dead_when_it_was_well_again_is_found()
    {
        HistoryEvent[] silos = [Node(0, Kinds.NodeStarted, "silo-1"), Node(0, Kinds.NodeStarted, "silo-2"), Node(1_000, Kinds.SiloReady, "silo-2")];
        var dead = new HistoryEvent(20_000, Kinds.DeclaredDead) { Node = "silo-1", Silo = "silo-2" };
        Assert.Empty(Check("no silo declared dead without cause", [.. silos, dead, .. Fault(10_000, 18_500, "silo.cut-pair", "silo-1|silo-2")]).Violations);
        Assert.Single(Check("no silo declared dead without cause", [.. silos, dead, .. Fault(10_000, 17_500, "silo.cut-pair", "silo-1|silo-2")]).Violations);
        // The statement may have lain with a store that was frozen meanwhile.
        Assert.Empty(Check("no silo declared dead without cause", [.. silos, dead, .. Fault(10_000, 17_500, "silo.cut-pair", "silo-1|silo-2"), .. Fault(12_000, 19_000, "store.freeze").Select(e => e with { Id = 2 })]).Violations);
        // It has ended, and its next start has not joined yet; or it has.
        Assert.Empty(Check("no silo declared dead without cause", [.. silos, dead, Node(10_000, Kinds.NodeExited, "silo-2")]).Violations);
        Assert.Single(Check("no silo declared dead without cause", [.. silos, dead, Node(10_000, Kinds.NodeExited, "silo-2"), Node(12_000, Kinds.SiloReady, "silo-2")]).Violations);
    }

    [Fact]
    public void A_process_that_ends_by_itself_is_found()
    {
        Assert.Single(Check("processes stay", Node(10_000, Kinds.NodeExited, "silo-2")).Violations);
        Assert.Single(Check("processes stay", Node(10_000, Kinds.NodeExited, "gateway-1")).Violations);
        Assert.Empty(Check("processes stay", [Node(10_000, Kinds.NodeExited, "silo-2"), .. Fault(5_000, 9_000, "silo.kill", "silo-2")]).Violations);
        // Agents are refused, and end, all the time: two fight for one token.
        Assert.Empty(Check("processes stay", Node(10_000, Kinds.NodeExited, "twin-a")).Violations);
    }

    [Fact]
    public void Lines_that_arrive_late_are_put_where_they_belong()
    {
        HistoryEvent[] history = [Connected(1_000, "twin-a#1", 2), Admitted(500, "twin-a#1", 1), Connected(0, "twin-a#1", 1)];
        Assert.All(Checker.Check(history), r => Assert.Empty(r.Violations));
    }

    [Fact]
    public void An_empty_history_has_shown_nothing() => Assert.All(Checker.Check([]), r => Assert.Equal((0, 0), (r.Checked, r.Violations.Count)));
}
