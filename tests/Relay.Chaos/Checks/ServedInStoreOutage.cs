using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>Where a fault leaves every path as it is (the store is gone, far, or wrong about the time), new sessions start all the same.</summary>
internal static class ServedInStoreOutage
{
    private const string Name = "new sessions without the store";

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var tried = history.Where(e => e.Kind == Kinds.ServedMeanwhile).ToList();
        return new CheckResult(Name, tried.Count,
            [.. tried.Where(e => e.Good != true).Select(e => new Violation(Name, e.At, $"during {e.Fault} no session could be opened: {e.Reason}", [.. history.Where(f => f.Id == e.Id && f.Kind == Kinds.FaultBegin), e]))]);
    }
}
