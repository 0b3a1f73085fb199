using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>A silo or gateway ends only when it was killed, or when a fault may have made the others give it up.</summary>
internal static class ProcessesStay
{
    private const string Name = "processes stay";
    private const double NoticedAfter = 30_000;

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var disturbances = new Disturbances(history);
        var exits = history.Where(e => e.Kind == Kinds.NodeExited && (e.Node!.StartsWith("silo-", StringComparison.Ordinal) || e.Node.StartsWith("gateway-", StringComparison.Ordinal))).ToList();
        var starts = history.Count(e => e.Kind == Kinds.NodeStarted);
        return new CheckResult(Name, starts,
            [.. exits.Where(e => !disturbances.Touched([e.Node!], e.At - NoticedAfter, e.At))
                .Select(e => new Violation(Name, e.At, $"{e.Node} ended by itself ({e.Reason})", [.. history.Where(f => f.Kind is Kinds.FaultBegin or Kinds.FaultEnd && Math.Abs(f.At - e.At) < NoticedAfter), e]))]);
    }
}
