using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>Epochs of a connector only grow: none is granted twice, every agent is given higher ones only, and an attachment that began after another was complete has the higher one.</summary>
internal static class EpochsGrow
{
    private const string Name = "epochs only grow";

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var violations = new List<Violation>();
        var granted = new Dictionary<(string, long), HistoryEvent>();
        foreach (var e in history.Where(e => e.Kind == Kinds.LeaseGranted))
        {
            if (granted.TryGetValue((e.Connector!, e.Epoch!.Value), out var first))
                violations.Add(new Violation(Name, e.At, $"epoch {e.Epoch} of {e.Connector} was granted twice, by {first.Silo} and by {e.Silo}", [first, e]));
            else
                granted[(e.Connector!, e.Epoch.Value)] = e;
        }

        var began = new Dictionary<string, double>();
        var highest = new Dictionary<string, HistoryEvent>();
        var complete = new List<(HistoryEvent Connected, double Began)>();
        foreach (var e in history)
        {
            if (e.Kind == Kinds.AgentConnecting)
                began[e.Agent!] = e.At;
            if (e.Kind != Kinds.AgentConnected)
                continue;
            if (highest.TryGetValue(e.Agent!, out var before) && before.Epoch >= e.Epoch)
                violations.Add(new Violation(Name, e.At, $"{e.Agent} was given epoch {e.Epoch} of {e.Connector} after {before.Epoch}", [before, e]));
            highest[e.Agent!] = e;
            complete.Add((e, began.GetValueOrDefault(e.Agent!, e.At)));
        }

        foreach (var (later, start) in complete)
        {
            var earlier = complete.Select(c => c.Connected).Where(c => c.Connector == later.Connector && c.At < start && c.Agent != later.Agent).MaxBy(c => c.Epoch);
            if (earlier is not null && earlier.Epoch >= later.Epoch)
                violations.Add(new Violation(Name, later.At, $"{later.Agent} began to attach {later.Connector} after {earlier.Agent} had epoch {earlier.Epoch}, and was given {later.Epoch}", [earlier, later]));
        }

        return new CheckResult(Name, granted.Count + complete.Count, violations);
    }
}
