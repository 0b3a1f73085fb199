using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>After every fault everything works again within a bound: a new session from every gateway to every socket.</summary>
internal static class RecoversInTime
{
    private const string Name = "recovers in time";

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var recoveries = history.Where(e => e.Kind == Kinds.Recovered).ToList();
        return new CheckResult(Name, recoveries.Count,
            [.. recoveries.Where(e => e.Good != true).Select(e => new Violation(Name, e.At, $"{e.Seconds:0.0} s after {e.Fault} had been mended: {e.Reason}",
                [.. history.Where(f => f.Id == e.Id && f.Kind is Kinds.FaultBegin or Kinds.FaultEnd && f.Id == e.Id), e]))]);
    }
}
