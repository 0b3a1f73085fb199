using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>No silo is declared dead that nothing has happened to.</summary>
internal static class NoFalseDeath
{
    private const string Name = "no silo declared dead without cause";

    // Probes every second, three misses, more when the machine is overloaded.
    private const double NoticedAfter = 15_000;

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var disturbances = new Disturbances(history);
        HistoryEvent[] silos = [.. history.Where(e => e.Kind == Kinds.NodeStarted && e.Node!.StartsWith("silo-", StringComparison.Ordinal)).DistinctBy(e => e.Node)];
        var declared = history.Where(e => e.Kind == Kinds.DeclaredDead).ToList();
        var violations = new List<Violation>();
        foreach (var e in declared)
        {
            string[] path = [e.Silo!, .. silos.Select(s => HistoryEvent.Link(s.Node!, e.Silo!))];
            if (!disturbances.Touched(path, e.At - NoticedAfter, e.At))
                violations.Add(new Violation(Name, e.At, $"{e.Node} says that {e.Silo} is dead, and nothing had happened to it", [.. history.Where(f => f.Kind is Kinds.FaultBegin or Kinds.FaultEnd && Math.Abs(f.At - e.At) < NoticedAfter), e]));
        }

        return new CheckResult(Name, declared.Count + silos.Length, violations);
    }
}
