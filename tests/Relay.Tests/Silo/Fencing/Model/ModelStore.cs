using Relay.Silo.Fencing;

namespace Relay.Tests.Silo.Fencing.Model;

/// <summary>The tables, as the SQL of ConnectorLeaseStore and FenceStore changes them: one statement at a time. A test holds both against each other.</summary>
internal sealed class ModelStore
{
    public Lease? Row { get; private set; }

    public Dictionary<Guid, FenceRow> Fences { get; } = [];

    /// <summary>Members by start; true: dead.</summary>
    public Dictionary<Voter, bool> Members { get; } = [];

    /// <summary>What the database's clock shows, which may jump.</summary>
    public long ClockMs { get; set; }

    public (Lease? Won, Lease? Holder) Attach(Guid instance, long attempt, long highest, Voter silo, long ttlMs, long? overtakes, Guard off)
    {
        if (Row is null) return (Row = new Lease(Math.Min(highest, 1000) + 1, silo, instance, attempt, false, ClockMs + ttlMs), null);
        var same = Row.Instance == instance && (off == Guard.Attempts || attempt > Row.Attempt);
        var lapsed = off == Guard.NoDatabaseClock && Row.ExpiresAt <= ClockMs;
        // Given up or not: an attempt that is older than the last one of its instance wins nothing.
        var late = off != Guard.Attempts && Row.Instance == instance && attempt <= Row.Attempt;
        if (late || !(Row.Released || same || lapsed || Row.Epoch == overtakes)) return (null, Row);
        return (Row = new Lease(Math.Max(Row.Epoch, Math.Min(highest, Row.Epoch + 1000)) + 1, silo, instance, attempt, false, ClockMs + ttlMs), null);
    }

    public bool Renew(Guid holder, long epoch, long ttlMs)
    {
        if (Row is not { Released: false } row || row.Epoch != epoch || row.Silo.Incarnation != holder) return false;
        Row = row with { ExpiresAt = ClockMs + ttlMs, Renewals = row.Renewals + 1 };
        return true;
    }

    public bool Release(long epoch)
    {
        if (Row is not { } row || row.Epoch != epoch) return false;
        Row = row with { Released = true };
        return true;
    }

    public bool IsHeld(Guid incarnation) => Fences.TryGetValue(incarnation, out var row) && !row.Fenced;

    public bool Adopt(Guid incarnation, long seq, Voter[] voters, Voter[] former)
    {
        if (!Fences.TryGetValue(incarnation, out var row) || row.Fenced || row.Seq >= seq) return false;
        Fences[incarnation] = row with { Voters = voters, Former = former, Seq = seq };
        return true;
    }

    public FenceRow Fence(Voter dead) => Fences[dead.Incarnation] =
        Fences.TryGetValue(dead.Incarnation, out var row) ? row with { Fenced = true } : new FenceRow([new Voter("unknown", dead.Incarnation)], [], 0, true);

    internal sealed record Lease(long Epoch, Voter Silo, Guid Instance, long Attempt, bool Released, long ExpiresAt, int Renewals = 0);

    internal sealed record FenceRow(Voter[] Voters, Voter[] Former, long Seq, bool Fenced);
}
