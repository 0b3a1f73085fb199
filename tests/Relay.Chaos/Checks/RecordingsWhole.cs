using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>
/// Recording chunks are there from 0 without a gap; a replay shows every echo that the user saw, each once and in order, except
/// those of the last second before its gateway was killed. A gateway that lives has what a silo did not acknowledge.
/// </summary>
internal static class RecordingsWhole
{
    private const string Name = "recordings whole";

    /// <summary>A batch waits a second for company; shipping it takes a moment on a busy machine.</summary>
    private const double LastSecond = 1_500;

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var disturbances = new Disturbances(history);
        var sessions = history.Where(e => e.Kind == Kinds.SessionOpened).DistinctBy(e => e.Session).ToDictionary(e => e.Session!.Value);
        var violations = new List<Violation>();
        long looked = 0;
        foreach (var row in history.Where(e => e.Kind == Kinds.RecordingRow))
        {
            looked++;
            if (row.Count > 0 && (row.First != 0 || row.Last != row.Count - 1))
                violations.Add(new Violation(Name, row.At, $"recording {row.Id} of session {row.Session} has {row.Count} chunks from {row.First} to {row.Last}", [row]));
        }

        foreach (var replay in history.Where(e => e.Kind == Kinds.Replay))
        {
            looked++;
            var session = sessions.GetValueOrDefault(replay.Session!.Value);
            if (replay.Good != true)
            {
                violations.Add(new Violation(Name, replay.At, $"the replay of session {replay.Session} is not what the user saw: {replay.Reason}", [replay, .. session is null ? [] : new[] { session }]));
            }
            else if (replay.LastAt is { } lost && !IsExcused(session, lost, disturbances))
            {
                violations.Add(new Violation(Name, lost, $"the replay of session {replay.Session} ends at echo {replay.Last}, the user saw more, the first of them before its gateway's last second", [.. session is null ? [] : new[] { session }, replay]));
            }
        }

        return new CheckResult(Name, looked, violations);
    }

    // The earliest echo that is missing must be from the last second of the one who held it.
    private static bool IsExcused(HistoryEvent? session, double firstLost, Disturbances disturbances) =>
        session is not null && disturbances.Ended(session.Gateway, session.At, firstLost + LastSecond) is not null;
}
