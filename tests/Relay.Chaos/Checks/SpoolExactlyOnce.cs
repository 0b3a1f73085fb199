using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>
/// What waited in a spool is in the store once, however often it had to be delivered: no event of a session is there twice. (Rows of
/// sessions and chunks of recordings have checks of their own.)
/// </summary>
internal static class SpoolExactlyOnce
{
    private const string Name = "spool delivered exactly once";

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var rows = history.Where(e => e.Kind == Kinds.EventRow).ToList();
        var deliveries = history.Count(e => e.Kind == Kinds.SpoolDelivered);
        return new CheckResult(Name, deliveries,
            [.. rows.Where(r => r.Count > 1).Select(r => new Violation(Name, r.At, $"event {r.Id} of session {r.Session} is in the store {r.Count} times", [.. history.Where(e => e.Session == r.Session && e.Kind is Kinds.SessionOpened or Kinds.SessionEnded && e.Session == r.Session), r]))]);
    }
}
