using Relay.Chaos.History;
using Relay.Chaos.Schedule;

namespace Relay.Chaos.Checks;

/// <summary>When which nodes and links were not as they should be; what other checks excuse.</summary>
internal sealed class Disturbances
{
    private readonly List<(string What, double From, double To)> _touched = [];
    private readonly List<(string Node, double From, double To)> _frozen = [];
    private readonly List<(string Node, double At)> _ends = [];
    private readonly List<(double From, double To)> _faults = [];
    private readonly List<(double From, double To)> _store = [];

    /// <param name="history">In order of time.</param>
    public Disturbances(IReadOnlyList<HistoryEvent> history)
    {
        foreach (var begin in history.Where(e => e.Kind == Kinds.FaultBegin))
        {
            var end = history.FirstOrDefault(e => e.Kind == Kinds.FaultEnd && e.Id == begin.Id)?.At ?? double.MaxValue;
            // Taking somebody's right away is no disturbance: nothing is slower for it.
            if (begin.Fault is not (Faults.RevokePolicy or Faults.KillSessions))
                _faults.Add((begin.At, end));
            if (begin.Fault!.StartsWith("store.", StringComparison.Ordinal) || begin.Fault is Faults.FillDisk or Faults.CutSiloFromStore or Faults.IsolateSilo)
                _store.Add((begin.At, end));
            foreach (var what in begin.Touches ?? [])
                _touched.Add((what, begin.At, end));
        }

        foreach (var freeze in history.Where(e => e.Kind == Kinds.NodeFrozen))
        {
            var end = history.FirstOrDefault(e => e.Kind is Kinds.NodeThawed or Kinds.NodeExited && e.Node == freeze.Node && e.At >= freeze.At)?.At ?? double.MaxValue;
            _frozen.Add((freeze.Node!, freeze.At, end));
        }

        foreach (var end in history.Where(e => e.Kind is Kinds.NodeKilled or Kinds.NodeExited))
            _ends.Add((end.Node!, end.At));
    }

    /// <summary>Whether a fault lay on any of these nodes and links at some time between the two.</summary>
    public bool Touched(IEnumerable<string> path, double from, double to) =>
        path.Any(p => _touched.Any(t => t.What == p && t.From <= to && t.To >= from));

    /// <summary>Whether any fault at all was under way between the two.</summary>
    public bool Any(double from, double to) => _faults.Any(f => f.From <= to && f.To >= from);

    /// <summary>Whether at some time between the two some silo was cut from the store, or all were.</summary>
    public bool StoreAway(double from, double to) => _store.Any(s => s.From <= to && s.To >= from);

    public bool IsFrozen(string? node, double at) => _frozen.Any(f => f.Node == node && f.From <= at && f.To >= at);

    /// <summary>When a node's process ended between the two; null: it did not.</summary>
    public double? Ended(string? node, double from, double to)
    {
        foreach (var (who, at) in _ends)
        {
            if (who == node && at >= from && at <= to)
                return at;
        }

        return null;
    }
}
