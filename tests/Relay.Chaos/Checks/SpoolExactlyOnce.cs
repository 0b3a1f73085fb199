using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>What waited in a spool for the store is delivered once.</summary>
internal static class SpoolExactlyOnce
{
    private const string Name = "spool delivered exactly once";

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var deliveries = history.Where(e => e.Kind == Kinds.SpoolDelivered).GroupBy(e => e.Reason).ToList();
        return new CheckResult(Name, deliveries.Count,
            [.. deliveries.Where(d => d.Count() > 1).Select(d => new Violation(Name, d.First().At, $"record {d.Key} was delivered {d.Count()} times", [.. d]))]);
    }
}
