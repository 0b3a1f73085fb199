using Relay.Chaos.Checks;
using Relay.Chaos.History;
using Relay.Chaos.Run;
using Relay.TestKit;
using static Relay.Tests.Chaos.GivenHistory;

namespace Relay.Tests.Chaos;

/// <summary>What is printed, and that a history says all that is needed for it.</summary>
public sealed class ReportTests
{
    [Fact]
    public void A_violation_names_the_run_that_repeats_it_and_is_counted_in_the_last_line()
    {
        HistoryEvent[] history =
        [
            new(0, Kinds.RunBegin) { Id = 7, Reason = "silo.kill,store.stop" }, new(1_000, Kinds.RoundBegin) { Id = 1 }, new(9_000, Kinds.RoundBegin) { Id = 2 },
            Node(10_000, Kinds.NodeExited, "silo-2"),
            new(60_000, Kinds.RoundBegin) { Id = 3 },
        ];
        var text = Report.Write("file", history, Checker.Check(history));
        Assert.Contains("silo-2 ended by itself", text, StringComparison.Ordinal);
        Assert.Contains("repeat: make chaos SEED=7 ROUNDS=2 ONLY=silo.kill,store.stop\n", text, StringComparison.Ordinal);
        Assert.Contains("seed 7: 3 rounds", text, StringComparison.Ordinal);
        Assert.EndsWith("\nviolations: 1\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_check_that_saw_nothing_says_so()
    {
        HistoryEvent[] history = [new(0, Kinds.RunBegin) { Id = 7 }, new(0, Kinds.Recovered) { Id = 1, Fault = "silo.kill", Good = true, Seconds = 2 }];
        var lines = Report.Write("file", history, Checker.Check(history)).Split('\n');
        Assert.Contains("nothing that could show one", Assert.Single(lines, l => l.StartsWith("one agent served", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.DoesNotContain("nothing that could show one", Assert.Single(lines, l => l.StartsWith("recovers in time", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void What_happens_to_a_grid_that_is_taken_down_is_in_no_history()
    {
        using var folder = new TempDir();
        var file = Path.Combine(folder.Path, "history.jsonl");
        using (var history = new RunHistory(file))
        {
            history.Add(Node(1, Kinds.NodeStarted, "silo-1"));
            Assert.Single(history.Finish());
            history.Add(Node(2, Kinds.NodeExited, "silo-1"));
            Assert.Single(history.Snapshot());
        }

        Assert.Single(File.ReadAllLines(file));
    }
}
