using Relay.Chaos.History;
using static Relay.Tests.Chaos.GivenHistory;

namespace Relay.Tests.Chaos;

/// <summary>The checker finds what it is there for, and nothing else: leases, epochs, streams.</summary>
public sealed class LeaseInvariantTests
{
    private const string OneAgent = "one agent served at a time";
    private const string Epochs = "epochs only grow";
    private const string OldEpoch = "no stream under an old epoch";

    private static readonly HistoryEvent[] s_takeover =
    [
        Grant(0, "silo-1", 1, First), Connected(5, "twin-a#1", 1), Admitted(10, "twin-a#1", 1),
        Grant(5_000, "silo-2", 2, Second), Connected(5_010, "twin-b#1", 2), Admitted(5_100, "twin-b#1", 2),
    ];

    [Fact]
    public void A_takeover_after_the_first_tunnel_has_ended_is_right()
    {
        var result = Check(OneAgent, [.. s_takeover, Over(4_000, "twin-a#1", 1)]);
        Assert.Empty(result.Violations);
        Assert.Equal(2, result.Checked);
    }

    [Fact]
    public void A_stream_that_goes_on_through_the_first_agent_is_found()
    {
        var violation = Assert.Single(Check(OneAgent, [.. s_takeover, Over(9_000, "twin-a#1", 1)]).Violations);
        Assert.Contains("twin-b#1 was granted epoch 2", violation.Text, StringComparison.Ordinal);
        Assert.Single(Check(OneAgent, s_takeover).Violations);
    }

    [Fact]
    public void A_stream_given_to_the_first_agent_after_the_takeover_is_found()
    {
        HistoryEvent[] late = [.. s_takeover, Over(4_000, "twin-a#1", 1), Admitted(6_000, "twin-a#1", 1), Over(6_001, "twin-a#1", 1)];
        var violation = Assert.Single(Check(OneAgent, late).Violations);
        Assert.Equal(6_000, violation.At);
    }

    [Theory]
    [InlineData("silo-1")]
    [InlineData("twin-a")]
    public void Nobody_is_served_through_what_is_frozen_or_dead(string node)
    {
        Assert.Empty(Check(OneAgent, [.. s_takeover, Node(3_000, Kinds.NodeFrozen, node), Node(9_000, Kinds.NodeThawed, node), Over(9_100, "twin-a#1", 1)]).Violations);
        Assert.Empty(Check(OneAgent, [.. s_takeover, Node(3_000, Kinds.NodeKilled, node)]).Violations);
        // A thaw before the takeover ends the excuse.
        Assert.Single(Check(OneAgent, [.. s_takeover, Node(3_000, Kinds.NodeFrozen, node), Node(4_000, Kinds.NodeThawed, node)]).Violations);
    }

    [Fact]
    public void Nobody_is_served_through_a_cut_link()
    {
        Assert.Empty(Check(OneAgent, [.. s_takeover, .. Fault(2_000, 8_000, "agent.cut", HistoryEvent.Link("twin-a", "silo-1"))]).Violations);
        Assert.Single(Check(OneAgent, [.. s_takeover, .. Fault(2_000, 8_000, "agent.cut", HistoryEvent.Link("twin-b", "silo-1"))]).Violations);
    }

    [Fact]
    public void An_agent_that_attaches_anew_may_keep_its_old_streams()
    {
        HistoryEvent[] same = [Grant(0, "silo-1", 1, First), Connected(5, "twin-a#1", 1), Admitted(10, "twin-a#1", 1), Grant(5_000, "silo-2", 2, First), Connected(5_010, "twin-a#1", 2)];
        Assert.Empty(Check(OneAgent, same).Violations);
    }

    [Fact]
    public void An_epoch_granted_twice_is_found()
    {
        Assert.Empty(Check(Epochs, s_takeover).Violations);
        Assert.Single(Check(Epochs, [.. s_takeover, Grant(6_000, "silo-3", 2, Second)]).Violations);
    }

    [Fact]
    public void An_epoch_that_does_not_grow_for_an_agent_is_found() =>
        Assert.Single(Check(Epochs, Connected(0, "twin-a#1", 7), Connected(100, "twin-a#1", 7)).Violations);

    [Fact]
    public void An_epoch_lower_than_one_that_was_complete_before_is_found()
    {
        HistoryEvent[] complete = [Connected(0, "twin-a#1", 7), Connecting(100, "twin-b#1"), Connected(200, "twin-b#1", 6)];
        Assert.Single(Check(Epochs, complete).Violations);
        // At the same time: either order is right.
        Assert.Empty(Check(Epochs, Connecting(100, "twin-b#1"), Connected(150, "twin-a#1", 7), Connected(200, "twin-b#1", 6)).Violations);
    }

    [Fact]
    public void A_stream_under_an_old_epoch_is_found()
    {
        HistoryEvent[] anew = [Connected(0, "twin-a#1", 1), Connected(1_000, "twin-a#1", 2)];
        Assert.Empty(Check(OldEpoch, [.. anew, Admitted(500, "twin-a#1", 1), Admitted(1_500, "twin-a#1", 2)]).Violations);
        Assert.Single(Check(OldEpoch, [.. anew, Admitted(1_500, "twin-a#1", 1)]).Violations);
    }
}
