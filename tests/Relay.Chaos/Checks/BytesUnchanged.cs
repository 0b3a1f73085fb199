using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>Whatever is broken, bytes may be late or missing at the end; they are never other ones, twice, or out of order.</summary>
internal static class BytesUnchanged
{
    private const string Name = "bytes unchanged";

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history) => new(Name, history.Sum(e => e.Kind == Kinds.ClientClosed ? e.Count ?? 0 : 0),
        [.. history.Where(e => e.Kind == Kinds.Corrupted).Select(e => new Violation(Name, e.At, $"{e.Client} to {e.Socket}: {e.Reason}", [e]))]);
}
