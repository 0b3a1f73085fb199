using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>All invariants over one history. Pure: the same history gives the same answer.</summary>
internal static class Checker
{
    private static readonly Func<IReadOnlyList<HistoryEvent>, CheckResult>[] All =
    [
        OneAgentServed.Check,
        EpochsGrow.Check,
        NoStreamUnderOldEpoch.Check,
        RevokedSessionsEnd.Check,
        NoDeathWithoutCause.Check,
        BytesUnchanged.Check,
        SessionsAccounted.Check,
        RecordingsWhole.Check,
        SpoolExactlyOnce.Check,
        ServedInStoreOutage.Check,
        RecoversInTime.Check,
        NoFalseDeath.Check,
        ProcessesStay.Check,
    ];

    public static IReadOnlyList<CheckResult> Check(IEnumerable<HistoryEvent> history)
    {
        // Programs' lines arrive when their pipe is read; what counts is when they were written.
        HistoryEvent[] ordered = [.. history.OrderBy(e => e.At)];
        return [.. All.Select(check => check(ordered))];
    }
}
