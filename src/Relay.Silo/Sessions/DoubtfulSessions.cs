using System.Collections.Concurrent;

namespace Relay.Silo.Sessions;

/// <summary>
/// Sessions that their gateway may not have: it gave up on the answer that opened them, or it is another process by now. They are
/// over when it says nothing of them and has no stream in them for a while. Safe for concurrent use.
/// </summary>
/// <param name="limit">How long: see <see cref="Limit"/>.</param>
internal sealed class DoubtfulSessions(TimeProvider time, TimeSpan limit)
{
    /// <summary>A gateway opens the stream of a session at once; twice what it may be without a control stream, because nobody waits for this.</summary>
    public static readonly TimeSpan Limit = GatewaySubscriptions.Grace * 2;

    private readonly ConcurrentDictionary<Guid, Doubt> _doubts = new();

    /// <param name="outcome">What it ends with if nobody has it.</param>
    public void Add(LiveSession session, string outcome) => _doubts[session.Id] = new Doubt(session, outcome) { Since = time.GetTimestamp() };

    /// <summary>Its gateway has spoken of it.</summary>
    public void Clear(Guid sessionId) => _doubts.TryRemove(sessionId, out _);

    /// <summary>Those that nobody has; one caller at a time.</summary>
    public IReadOnlyList<(LiveSession Session, string Outcome)> TakeForgotten()
    {
        var forgotten = new List<(LiveSession, string)>();
        foreach (var (id, doubt) in _doubts)
        {
            if (doubt.Session.Outcome is not null)
                _doubts.TryRemove(id, out _);
            else if (doubt.Session.OpenStreams > 0)
                doubt.Since = time.GetTimestamp();
            else if (time.GetElapsedTime(doubt.Since) >= limit && _doubts.TryRemove(id, out _))
                forgotten.Add((doubt.Session, doubt.Outcome));
        }

        return forgotten;
    }

    private sealed record Doubt(LiveSession Session, string Outcome)
    {
        /// <summary>Without a stream since then, as far as was looked.</summary>
        public long Since { get; set; }
    }
}
