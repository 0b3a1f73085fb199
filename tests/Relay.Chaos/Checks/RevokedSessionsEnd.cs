using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>
/// Nobody gets a byte through a session whose right is gone, later than a bound after the grid has confirmed it; nor is one
/// opened. While something else is broken the bound is that of the self-closing of a silo that is cut off.
/// </summary>
internal static class RevokedSessionsEnd
{
    private const string Name = "no session after its revocation";

    /// <summary>The goal is a second at the 99th percentile; two cores carry the whole grid and its users.</summary>
    private const double Bound = 2_000;

    private const double BoundInFault = 20_000;

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var disturbances = new Disturbances(history);
        var opened = history.Where(e => e.Kind == Kinds.ClientOpened).ToDictionary(e => e.Client!);
        var closed = history.Where(e => e.Kind == Kinds.ClientClosed).ToList();
        var violations = new List<Violation>();
        long looked = 0;
        foreach (var done in history.Where(e => e.Kind == Kinds.RevokeDone))
        {
            var begin = history.First(e => e.Kind == Kinds.RevokeBegin && e.Id == done.Id);
            var over = history.FirstOrDefault(e => e.Kind == Kinds.RevokeOver && e.Id == done.Id);
            var limit = done.At + (done.Good == false || disturbances.Any(begin.At - 5_000, done.At + Bound) ? BoundInFault : Bound);
            foreach (var end in closed.Where(c => done.Sockets!.Contains(c.Socket) && opened[c.Client!].At < begin.At && c.At > begin.At))
            {
                looked++;
                if (end.LastAt > limit)
                    violations.Add(new Violation(Name, end.LastAt.Value, $"a session to {end.Socket} still echoed {(end.LastAt.Value - done.At) / 1000:0.0} s after its {done.Reason} had been confirmed", [begin, done, opened[end.Client!], end]));
            }

            // A kill ends what lives; a policy also keeps out what comes.
            if (over is null)
                continue;
            foreach (var late in opened.Values.Where(o => done.Sockets!.Contains(o.Socket) && o.At > limit && o.At < over.At))
                violations.Add(new Violation(Name, late.At, $"a session to {late.Socket} was opened {(late.At - done.At) / 1000:0.0} s after its right was gone", [done, late, over]));
        }

        return new CheckResult(Name, looked, violations);
    }

    /// <summary>Seconds from the grid's confirmation to the last byte, of every session that a revocation ended; 0 when it ended before.</summary>
    public static IReadOnlyList<double> Times(IReadOnlyList<HistoryEvent> history)
    {
        var opened = history.Where(e => e.Kind == Kinds.ClientOpened).ToDictionary(e => e.Client!);
        return
        [
            .. from done in history
            where done.Kind == Kinds.RevokeDone
            let begin = history.First(e => e.Kind == Kinds.RevokeBegin && e.Id == done.Id)
            from end in history
            where end.Kind == Kinds.ClientClosed && done.Sockets!.Contains(end.Socket) && opened[end.Client!].At < begin.At && end.At > begin.At && end.LastAt is not null && end.LastAt > begin.At - 2_000
            select Math.Max(0, end.LastAt!.Value - done.At) / 1000,
        ];
    }
}
