using System.Collections.Concurrent;
using Relay.Gateway.Grid;

namespace Relay.Gateway.Sessions;

/// <summary>The sessions this gateway serves now. Safe for concurrent use.</summary>
internal sealed class LiveSessions : ISessionControl
{
    private readonly ConcurrentDictionary<Guid, SiloSession> _sessions = new();

    public int Count => _sessions.Count;

    public IReadOnlyList<Guid> SessionsAt(string siloAddress) =>
        [.. _sessions.Values.Where(s => string.Equals(s.Silo.Address, siloAddress, StringComparison.OrdinalIgnoreCase)).Select(s => s.Id)];

    public void Add(SiloSession session) => _sessions[session.Id] = session;

    public void Remove(SiloSession session) => _sessions.TryRemove(session.Id, out _);

    public void EndSession(Guid session, string reason)
    {
        if (_sessions.TryGetValue(session, out var live))
        {
            live.End(new SessionEnd(reason, $"Your session was ended: {reason}"));
        }
    }

    public void EndAll(SessionEnd end)
    {
        foreach (var session in _sessions.Values)
        {
            session.End(end);
        }
    }
}
