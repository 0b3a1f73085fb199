using System.Collections.Concurrent;

namespace Relay.Silo.Sessions;

/// <summary>Sessions that have ended on this silo, the latest ones: until the store has heard of an end it still shows them as live. Safe for concurrent use.</summary>
internal sealed class EndedSessions
{
    /// <summary>About 5 MB; those of hours, also where many sessions are short.</summary>
    private const int Most = 65_536;

    private readonly ConcurrentDictionary<Guid, bool> _ended = new();
    private readonly ConcurrentQueue<Guid> _order = new();

    public void Add(Guid session)
    {
        if (!_ended.TryAdd(session, true))
            return;
        _order.Enqueue(session);
        if (_order.Count > Most && _order.TryDequeue(out var oldest))
            _ended.TryRemove(oldest, out _);
    }

    public bool Contains(Guid session) => _ended.ContainsKey(session);
}
