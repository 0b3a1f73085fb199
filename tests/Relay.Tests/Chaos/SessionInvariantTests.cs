using Relay.Chaos.History;
using static Relay.Tests.Chaos.GivenHistory;

namespace Relay.Tests.Chaos;

/// <summary>The checker finds what it is there for, and nothing else: sessions, revocations, recordings.</summary>
public sealed class SessionInvariantTests
{
    private const string Client = "10.0.0.1:5000";
    private const string Revocation = "no session after its revocation";
    private const string Death = "no session dies without a cause";
    private const string Accounted = "every session accounted for once";
    private const string Recording = "recordings whole";

    private static HistoryEvent[] Revoked(double begin, double done) =>
    [
        new(begin, Kinds.RevokeBegin) { Id = 9, Sockets = ["alpha"], Reason = "policy" },
        new(done, Kinds.RevokeDone) { Id = 9, Sockets = ["alpha"], Reason = "policy" },
        new(done + 60_000, Kinds.RevokeOver) { Id = 9 },
    ];

    [Fact]
    public void A_session_that_ends_with_its_right_is_right()
    {
        var result = Check(Revocation, [Opened(0, Client), .. Revoked(10_000, 10_100), Closed(10_300, Client, 10_200)]);
        Assert.Empty(result.Violations);
        Assert.Equal(1, result.Checked);
        Assert.Empty(Check(Death, [Opened(0, Client), .. Revoked(10_000, 10_100), Closed(10_300, Client, 10_200)]).Violations);
    }

    [Fact]
    public void A_session_that_outlives_its_right_is_found()
    {
        HistoryEvent[] late = [Opened(0, Client), .. Revoked(10_000, 10_100), Closed(20_000, Client, 15_000)];
        Assert.Single(Check(Revocation, late).Violations);
        // Something else was broken: a silo that is cut off needs its time to close itself.
        Assert.Empty(Check(Revocation, [.. late, .. Fault(9_000, 16_000, "silo.isolate", "silo-1")]).Violations);
        Assert.Single(Check(Revocation, [Opened(0, Client), .. Revoked(10_000, 10_100), Closed(50_000, Client, 45_000), .. Fault(9_000, 16_000, "silo.isolate", "silo-1")]).Violations);
    }

    [Fact]
    public void A_session_opened_without_right_is_found()
    {
        Assert.Single(Check(Revocation, [.. Revoked(10_000, 10_100), Opened(20_000, Client)]).Violations);
        Assert.Empty(Check(Revocation, [.. Revoked(10_000, 10_100), Opened(80_000, Client)]).Violations);
        Assert.Empty(Check(Revocation, [.. Revoked(10_000, 10_100), Opened(20_000, Client, "beta")]).Violations);
    }

    [Fact]
    public void A_session_that_dies_without_cause_is_found()
    {
        HistoryEvent[] died = [Opened(0, Client), SessionOpened(0, Client), Admitted(1, "twin-a#1", 1), Grant(-1, "silo-2", 1, First), Closed(30_000, Client, 29_000)];
        Assert.Single(Check(Death, died).Violations);
        Assert.Empty(Check(Death, [.. died[..^1], Closed(30_000, Client, 29_000, wanted: true)]).Violations);
    }

    [Fact]
    public void A_session_that_was_opened_while_a_kill_was_under_way_may_end_by_it_and_a_later_one_may_not()
    {
        Assert.Empty(Check(Death, [.. Revoked(10_000, 14_000), Opened(12_000, Client), SessionOpened(12_000, Client), Closed(13_000, Client, 12_900)]).Violations);
        Assert.Single(Check(Death, [.. Revoked(10_000, 14_000), Opened(15_000, Client), SessionOpened(15_000, Client), Closed(16_000, Client, 15_900)]).Violations);
    }

    [Theory]
    [InlineData("gateway-1", true)]
    [InlineData("silo-1", true)]
    [InlineData("silo-2", true)]
    [InlineData("silo-1|silo-2", true)]
    [InlineData("silo-2|twin-a", true)]
    [InlineData("silo-3", false)]
    [InlineData("gateway-2", false)]
    [InlineData("silo-1|silo-3", false)]
    public void Only_a_fault_on_the_path_is_a_cause(string touched, bool excused)
    {
        HistoryEvent[] died = [Opened(0, Client), SessionOpened(0, Client), Admitted(1, "twin-a#1", 1), Grant(-1, "silo-2", 1, First), Closed(30_000, Client, 29_000)];
        Assert.Equal(excused ? 0 : 1, Check(Death, [.. died, .. Fault(28_000, 35_000, "some", touched)]).Violations.Count);
        // Long mended, or not yet there.
        Assert.Single(Check(Death, [.. died[..^1], Closed(90_000, Client, 89_000), .. Fault(28_000, 35_000, "some", touched)]).Violations);
        Assert.Single(Check(Death, [.. died, .. Fault(31_000, 35_000, "some", touched)]).Violations);
    }

    [Fact]
    public void A_session_needs_exactly_one_row_with_an_end()
    {
        var row = new HistoryEvent(100, Kinds.Row) { Session = Session, Good = true, Reason = "closed by user" };
        Assert.Empty(Check(Accounted, SessionOpened(0, Client), row).Violations);
        Assert.Single(Check(Accounted, SessionOpened(0, Client)).Violations);
        Assert.Single(Check(Accounted, SessionOpened(0, Client), row, row).Violations);
        Assert.Single(Check(Accounted, SessionOpened(0, Client), row with { Reason = "" }).Violations);
        Assert.Empty(Check(Accounted, row with { Good = false, Reason = "" }).Violations);
    }

    [Fact]
    public void A_session_ended_twice_by_a_silo_is_found()
    {
        var row = new HistoryEvent(100, Kinds.Row) { Session = Session, Good = true, Reason = "closed by user" };
        var over = new HistoryEvent(50, Kinds.SessionOver) { Session = Session, Silo = "silo-1", Reason = "closed by user" };
        Assert.Empty(Check(Accounted, SessionOpened(0, Client), over, row).Violations);
        Assert.Single(Check(Accounted, SessionOpened(0, Client), over, over with { At = 60 }, row).Violations);
    }

    [Fact]
    public void Other_bytes_than_were_sent_are_found_whatever_was_broken()
    {
        Assert.Empty(Check("bytes unchanged", Opened(0, Client), Closed(30_000, Client, 29_000)).Violations);
        Assert.Single(Check("bytes unchanged", [new(5_000, Kinds.Corrupted) { Client = Client, Socket = "alpha", Reason = "line 3 came back as '4'" }, .. Fault(0, 60_000, "gateway.kill", "gateway-1")]).Violations);
    }

    [Fact]
    public void A_gap_between_chunks_is_found()
    {
        var chunks = new HistoryEvent(0, Kinds.RecordingRow) { Session = Session, Id = 0, First = 0, Last = 4, Count = 5 };
        Assert.Empty(Check(Recording, chunks).Violations);
        Assert.Single(Check(Recording, chunks with { Count = 4 }).Violations);
        Assert.Single(Check(Recording, chunks with { First = 1 }).Violations);
    }

    [Fact]
    public void An_echo_that_a_replay_lacks_is_found_unless_it_is_from_a_killed_gateways_last_second()
    {
        var replay = new HistoryEvent(99_000, Kinds.Replay) { Session = Session, Good = true, Last = 10 };
        Assert.Empty(Check(Recording, SessionOpened(0, Client), replay).Violations);
        Assert.Single(Check(Recording, SessionOpened(0, Client), replay with { LastAt = 5_000 }).Violations);
        Assert.Empty(Check(Recording, SessionOpened(0, Client), replay with { LastAt = 5_000 }, Node(5_900, Kinds.NodeKilled, "gateway-1")).Violations);
        Assert.Single(Check(Recording, SessionOpened(0, Client), replay with { LastAt = 5_000 }, Node(9_000, Kinds.NodeKilled, "gateway-1")).Violations);
        Assert.Single(Check(Recording, SessionOpened(0, Client), replay with { Good = false, Reason = "echo 3 comes twice" }).Violations);
    }
}
