using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>Every session that was opened has its one row, every row has ended with a reason once nobody is there any more, and no silo ends a session twice.</summary>
internal static class SessionsAccounted
{
    private const string Name = "every session accounted for once";

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var violations = new List<Violation>();
        var rows = history.Where(e => e.Kind == Kinds.Row).ToLookup(e => e.Session);
        var opened = history.Where(e => e.Kind == Kinds.SessionOpened).ToList();
        foreach (var session in opened.Where(s => rows[s.Session].Count() != 1))
            violations.Add(new Violation(Name, session.At, $"session {session.Session} was opened and has {rows[session.Session].Count()} rows", [session, .. rows[session.Session]]));
        foreach (var row in rows.SelectMany(r => r).Where(r => r.Good != false && string.IsNullOrEmpty(r.Reason)))
            violations.Add(new Violation(Name, row.At, $"session {row.Session} (gateway {row.Gateway}, silo {row.Silo}) has no end though nobody is in it", [.. Of(history, row.Session), row]));
        foreach (var ends in history.Where(e => e.Kind == Kinds.SessionOver).GroupBy(e => (e.Session, e.Silo)).Where(g => g.Count() > 1))
            violations.Add(new Violation(Name, ends.First().At, $"silo {ends.Key.Silo} ended session {ends.Key.Session} {ends.Count()} times", [.. ends]));
        return new CheckResult(Name, rows.Count + opened.Count, violations);
    }

    private static IEnumerable<HistoryEvent> Of(IReadOnlyList<HistoryEvent> history, Guid? session) =>
        history.Where(e => e.Session == session && e.Kind is Kinds.SessionOpened or Kinds.SessionEnded or Kinds.SessionOver && e.Session == session);
}
