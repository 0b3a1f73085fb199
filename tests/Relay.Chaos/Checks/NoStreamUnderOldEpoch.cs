using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>An agent serves no stream under a lower epoch than the highest it has been given.</summary>
internal static class NoStreamUnderOldEpoch
{
    private const string Name = "no stream under an old epoch";

    /// <summary>A stream is found good, and its line written, in two steps; an attachment may complete between them.</summary>
    private const double Slack = 20;

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var given = history.Where(e => e.Kind == Kinds.AgentConnected).ToLookup(e => e.Agent);
        var violations = new List<Violation>();
        long looked = 0;
        foreach (var stream in history.Where(e => e.Kind == Kinds.StreamAdmitted))
        {
            looked++;
            var newer = given[stream.Agent].FirstOrDefault(c => c.Epoch > stream.Epoch && c.At + Slack < stream.At);
            if (newer is not null)
                violations.Add(new Violation(Name, stream.At, $"{stream.Agent} served a stream under epoch {stream.Epoch} though it had been given epoch {newer.Epoch} {stream.At - newer.At:0} ms before", [newer, stream]));
        }

        return new CheckResult(Name, looked, violations);
    }
}
