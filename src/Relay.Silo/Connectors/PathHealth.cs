using System.Collections.Concurrent;
using System.Collections.Frozen;
using Relay.Protocol.Tunnel;

namespace Relay.Silo.Connectors;

/// <summary>A target that a connector does not reach.</summary>
/// <param name="Target">See <see cref="StreamTarget.Key"/>.</param>
/// <param name="Reason">One sentence.</param>
internal sealed record FailingTarget(Guid ConnectorId, string Target, string Reason);

/// <summary>
/// What is known not to work. A target is out after one failure, on use or when it was checked, and in again after a check that
/// succeeded; all silos share what they know (<see cref="TargetChecks"/>). A connector that let an opening hang is put last for a while.
/// Safe for concurrent use.
/// </summary>
internal sealed class PathHealth(TimeProvider time)
{
    /// <summary>How long a connector that did not do its part comes last.</summary>
    public static readonly TimeSpan SuspectFor = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<(Guid Connector, string Target), FailingTarget?> _pending = new();
    private readonly ConcurrentDictionary<Guid, long> _suspects = new();
    private volatile FrozenDictionary<(Guid Connector, string Target), FailingTarget> _shared = FrozenDictionary<(Guid, string), FailingTarget>.Empty;

    /// <summary>Something was learnt here that the other silos do not know yet.</summary>
    public event Action? Learnt;

    public bool IsHealthy(Guid connector, StreamTarget target) => Find(connector, target.Key) is null && !IsSuspect(connector);

    /// <summary>Null: nothing is known against it.</summary>
    public FailingTarget? Find(Guid connector, string target) =>
        _pending.TryGetValue((connector, target), out var learnt) ? learnt : _shared.GetValueOrDefault((connector, target));

    /// <summary>The connector's targets that fail.</summary>
    public IEnumerable<FailingTarget> Failing(Guid connector) =>
        _shared.Values.Concat(_pending.Values.OfType<FailingTarget>()).Where(f => f.ConnectorId == connector && Find(connector, f.Target) is not null).DistinctBy(f => f.Target);

    /// <summary>An opening failed.</summary>
    public void Failed(Guid connector, StreamTarget target, StreamOpenException error)
    {
        if (error.Error is StreamOpenError.Refused or StreamOpenError.Unreachable or StreamOpenError.NameNotFound or StreamOpenError.TimedOut)
            Set(connector, target.Key, error.Message);

        // A time-out does not say whose it was.
        if (error.Error is StreamOpenError.TimedOut or StreamOpenError.Failed or StreamOpenError.NotAttached)
            _suspects[connector] = time.GetTimestamp();
    }

    /// <summary>An opening succeeded: the connector did its part. Of a UDP target that tells nothing.</summary>
    public void Opened(Guid connector, StreamTarget target)
    {
        if (target.IsUdp)
            _suspects.TryRemove(connector, out _);
        else
            Succeeded(connector, target);
    }

    /// <summary>A check succeeded.</summary>
    public void Succeeded(Guid connector, StreamTarget target)
    {
        _suspects.TryRemove(connector, out _);
        Set(connector, target.Key, null);
    }

    /// <summary>What was learnt here since; it stays in force here until <see cref="Share"/>.</summary>
    public IReadOnlyDictionary<(Guid Connector, string Target), FailingTarget?> Pending() => _pending.ToFrozenDictionary();

    /// <summary>All silos know this now.</summary>
    /// <param name="failing">All of it.</param>
    /// <param name="told">What of ours is in it.</param>
    public void Share(IEnumerable<FailingTarget> failing, IReadOnlyDictionary<(Guid Connector, string Target), FailingTarget?> told)
    {
        _shared = failing.ToFrozenDictionary(f => (f.ConnectorId, f.Target));
        foreach (var entry in told)
            _pending.TryRemove(entry);
    }

    private bool IsSuspect(Guid connector) => _suspects.TryGetValue(connector, out var since) && time.GetElapsedTime(since) < SuspectFor;

    private void Set(Guid connector, string target, string? reason)
    {
        if (Find(connector, target) is null == reason is null)
            return;
        _pending[(connector, target)] = reason is null ? null : new FailingTarget(connector, target, reason);
        Learnt?.Invoke();
    }
}
