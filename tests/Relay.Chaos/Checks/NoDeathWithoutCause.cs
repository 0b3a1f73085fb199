using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>No user's session ends unless its user ended it, its right was taken, or a fault lay on its path: gateway, the silo that keeps it, the silo and agent of its connector, and the links between them.</summary>
internal static class NoDeathWithoutCause
{
    private const string Name = "no session dies without a cause";

    /// <summary>A cut that has no reset is noticed by missing pings: 10 s of silence, 10 s without an answer, and some.</summary>
    private const double NoticedAfter = 30_000;

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var disturbances = new Disturbances(history);
        var leases = new Leases(history);
        var sessions = history.Where(e => e.Kind == Kinds.SessionOpened && e.Client is not null).ToLookup(e => e.Client!);
        var streams = history.Where(e => e.Kind == Kinds.StreamAdmitted).ToLookup(e => e.Session);
        var opened = history.Where(e => e.Kind == Kinds.ClientOpened).ToDictionary(e => e.Client!);
        var violations = new List<Violation>();
        long looked = 0;
        foreach (var end in history.Where(e => e.Kind == Kinds.ClientClosed))
        {
            looked++;
            var session = sessions[end.Client!].FirstOrDefault();
            if (end.Good == true || IsRevoked(history, end, Math.Min(opened[end.Client!].At, session?.At ?? double.MaxValue)))
                continue;
            if (disturbances.Touched(Path(opened[end.Client!], session, streams, leases), end.At - NoticedAfter, end.At))
                continue;
            violations.Add(new Violation(Name, end.At, $"the session of {end.Client} to {end.Socket} ended ({end.Reason}) and nothing on its path was disturbed",
                [opened[end.Client!], .. session is null ? [] : new[] { session }, .. session is null ? [] : streams[session.Session], .. Around(history, end, session)]));
        }

        return new CheckResult(Name, looked, violations);
    }

    private static List<string> Path(HistoryEvent opened, HistoryEvent? session, ILookup<Guid?, HistoryEvent> streams, Leases leases)
    {
        var path = new List<string> { opened.Gateway!, HistoryEvent.Link("user", opened.Gateway!) };
        if (session?.Silo is not { } silo)
            return path;
        path.AddRange([silo, HistoryEvent.Link(opened.Gateway!, silo)]);
        foreach (var stream in streams[session.Session])
        {
            path.Add(stream.Node!);
            if (leases.Find(stream.Connector!, stream.Epoch!.Value)?.Silo is { } holder)
                path.AddRange([holder, HistoryEvent.Link(silo, holder), HistoryEvent.Link(holder, stream.Node!)]);
        }

        return path;
    }

    // What was asked for is done some time before it is answered: also to a session that was opened meanwhile. A user hears of a
    // session, and of its end, after the gateway has opened it.
    private static bool IsRevoked(IReadOnlyList<HistoryEvent> history, HistoryEvent end, double opened) =>
        history.Any(e => e.Kind == Kinds.RevokeBegin && e.At <= end.At && e.Sockets!.Contains(end.Socket)
            && (e.At >= opened || history.Any(d => d.Kind == Kinds.RevokeDone && d.Id == e.Id && d.At >= opened)));

    private static IEnumerable<HistoryEvent> Around(IReadOnlyList<HistoryEvent> history, HistoryEvent end, HistoryEvent? session) =>
        history.Where(e => Math.Abs(e.At - end.At) < 15_000
            && (e.Kind is Kinds.FaultBegin or Kinds.FaultEnd || e == end || (session is not null && e.Session == session.Session && e.Kind is Kinds.SessionEnded or Kinds.SessionOver or Kinds.StreamOver)));
}
