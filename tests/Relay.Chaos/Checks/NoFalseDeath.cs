using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>No silo is declared dead that nothing has happened to, nor one that things are well with again.</summary>
internal static class NoFalseDeath
{
    private const string Name = "no silo declared dead without cause";

    /// <summary>
    /// How long after it was mended a fault explains a declaration. The last probe that it swallowed was sent before and is given up
    /// 0.75 s later; every later one goes by a new connection as well and is answered. The round waits for all its probes, which run
    /// together, then writes: at most five statements' worth of a store that answers, and 0.5 s until a busy process's line has its time.
    /// </summary>
    private const double NoticedAfter = 750 + 750 + 500;

    /// <summary>A statement to a store that is frozen or out of reach may lie for as long as its driver waits, and be executed when it is back.</summary>
    private const double StatementLimit = 5_000;

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var disturbances = new Disturbances(history);
        string[] silos = [.. history.Where(e => e.Kind == Kinds.NodeStarted && e.Node!.StartsWith("silo-", StringComparison.Ordinal)).Select(e => e.Node!).Distinct()];
        var declared = history.Where(e => e.Kind == Kinds.DeclaredDead).ToList();
        var violations = new List<Violation>();
        foreach (var e in declared)
        {
            string[] path = [e.Silo!, .. silos.Select(s => HistoryEvent.Link(s, e.Silo!))];
            var noticed = e.At - NoticedAfter;
            if (disturbances.StoreAway(noticed - StatementLimit, e.At))
                noticed -= StatementLimit;
            if (!disturbances.Touched(path, noticed, e.At) && !HasEnded(history, e))
                violations.Add(new Violation(Name, e.At, $"{e.Node} says that {e.Silo} is dead ({e.Reason}), and it was well", [.. history.Where(f => f.Kind is Kinds.FaultBegin or Kinds.FaultEnd && Math.Abs(f.At - e.At) < 15_000), e]));
        }

        return new CheckResult(Name, declared.Count, violations);
    }

    // Its process is over and the next has not joined yet: whatever delayed the news, they are true.
    private static bool HasEnded(IReadOnlyList<HistoryEvent> history, HistoryEvent declared) =>
        history.LastOrDefault(e => e.At <= declared.At && e.Node == declared.Silo && e.Kind is Kinds.SiloReady or Kinds.NodeExited) is { Kind: Kinds.NodeExited };
}
