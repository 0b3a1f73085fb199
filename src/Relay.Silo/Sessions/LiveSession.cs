using Relay.Policy;
using Relay.Protocol.Tunnel;

namespace Relay.Silo.Sessions;

/// <summary>
/// A session that lives on this silo. Ended once, for one reason; <see cref="Ended"/> is what its streams and deadlines hang on.
/// Safe for concurrent use.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Streams may still hold the token after the end; a source without timer or wait handle holds nothing to dispose.")]
internal sealed class LiveSession
{
    // More different grants than any person opens; beyond it new channels are refused rather than untracked.
    private const int MaxTrackedGrants = 4096;

    private static readonly TimeSpan LeastWait = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LongestWait = TimeSpan.FromDays(40);

    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, AccessAction> _grants = [];
    private readonly CancellationTokenSource _ended = new();
    private string? _outcome;
    private ITimer? _deadline;
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Guid? _connectorId;
    private DateTimeOffset? _endsAt;
    private readonly List<(StreamWay Way, StreamPumpCounters Counters)> _streams = [];
    private long _closedUp;
    private long _closedDown;
    private bool _reported;
    private long _bytesUp;
    private long _bytesDown;
    private int _openStreams;

    public LiveSession(SessionFacts facts, DateTimeOffset? endsAt)
    {
        Facts = facts;
        _endsAt = endsAt;
        Ended = _ended.Token;
    }

    public SessionFacts Facts { get; }

    /// <summary>What was written when it began; null: it was adopted, and its row is another silo's.</summary>
    public SessionRow? Row { get; init; }

    public Guid Id => Facts.Id;

    /// <summary>Cancelled when the session is over.</summary>
    public CancellationToken Ended { get; }

    /// <summary>Over when the session has ended and none of its streams carries anything any more. Never faulted.</summary>
    public Task Closed => _closed.Task;

    /// <summary>One phrase; null while it lives.</summary>
    public string? Outcome => Volatile.Read(ref _outcome);

    /// <summary>When policy ends it; null: no limit.</summary>
    public DateTimeOffset? EndsAt
    {
        get
        {
            lock (_lock)
                return _endsAt;
        }
    }

    /// <summary>
    /// From the user: payload of the channels once the gateway has reported it, until then what its streams carried (a gateway that
    /// vanished never reports).
    /// </summary>
    public long BytesUp
    {
        get
        {
            lock (_lock)
                return _reported ? _bytesUp : _closedUp + _streams.Sum(s => s.Counters.FirstToSecond);
        }
    }

    /// <summary>To the user, as <see cref="BytesUp"/>.</summary>
    public long BytesDown
    {
        get
        {
            lock (_lock)
                return _reported ? _bytesDown : _closedDown + _streams.Sum(s => s.Counters.SecondToFirst);
        }
    }

    /// <summary>Through which connector its latest stream goes; null: none was opened yet.</summary>
    public Guid? ConnectorId
    {
        get
        {
            lock (_lock)
                return _connectorId;
        }
    }

    public int OpenStreams => Volatile.Read(ref _openStreams);

    /// <summary>Remembers that a channel was allowed, so that losing that right ends the session. False: too many.</summary>
    public bool TryTrack(Guid decisionId, AccessAction action)
    {
        lock (_lock)
        {
            if (_grants.Count >= MaxTrackedGrants)
                return false;
            _grants[decisionId] = action;
            return true;
        }
    }

    /// <summary>The channel of that decision is closed.</summary>
    public void Release(Guid decisionId)
    {
        lock (_lock)
            _grants.Remove(decisionId);
    }

    /// <summary>The different actions whose channels may be open.</summary>
    public IReadOnlyCollection<AccessAction> TrackedActions()
    {
        lock (_lock)
            return _grants.Values.ToHashSet();
    }

    /// <summary>The ways of the streams that are open.</summary>
    public IReadOnlyList<StreamWay> Ways()
    {
        lock (_lock)
            return [.. _streams.Select(s => s.Way)];
    }

    /// <summary>A stream is being opened; <see cref="StreamClosed"/> must follow, whatever comes of it. False: the session is over.</summary>
    public bool TryBeginStream()
    {
        lock (_lock)
        {
            if (_outcome is not null)
                return false;
            _openStreams++;
            return true;
        }
    }

    /// <summary>The stream leads there; <paramref name="counters"/> count until <see cref="StreamClosed"/>.</summary>
    public void StreamOpened(StreamWay way, StreamPumpCounters counters)
    {
        lock (_lock)
        {
            _connectorId = way.ConnectorId;
            _streams.Add((way, counters));
        }
    }

    /// <param name="way">As it was opened; null: it never was.</param>
    public void StreamClosed(StreamWay? way)
    {
        lock (_lock)
        {
            // The same object: two streams may go the same way.
            var at = _streams.FindIndex(s => ReferenceEquals(s.Way, way));
            if (at >= 0)
            {
                _closedUp += _streams[at].Counters.FirstToSecond;
                _closedDown += _streams[at].Counters.SecondToFirst;
                _streams.RemoveAt(at);
            }

            if (--_openStreams == 0 && _outcome is not null)
                _closed.TrySetResult();
        }
    }

    /// <summary>What the gateway counted; never goes back.</summary>
    public void ReportBytes(long up, long down)
    {
        lock (_lock)
        {
            _reported = true;
            _bytesUp = Math.Max(_bytesUp, up);
            _bytesDown = Math.Max(_bytesDown, down);
        }
    }

    /// <summary>Calls <paramref name="elapsed"/> when <paramref name="endsAt"/> has come; null: never. Replaces the deadline there was.</summary>
    public void SetDeadline(DateTimeOffset? endsAt, TimeProvider time, Action<LiveSession> elapsed)
    {
        lock (_lock)
        {
            if (_outcome is not null)
                return;
            _endsAt = endsAt;
            _deadline?.Dispose();
            _deadline = null;
            if (endsAt is not { } end)
                return;
            var wait = end - time.GetUtcNow();
            // Timers hold 49 days; a later end is looked at again then. A timer may be early: the least wait keeps that from spinning.
            wait = wait < LeastWait ? LeastWait : wait > LongestWait ? LongestWait : wait;
            _deadline = time.CreateTimer(_ => elapsed(this), null, wait, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Ends it, cutting its streams. False: it was over already and keeps its first outcome.</summary>
    public bool TryEnd(string outcome)
    {
        lock (_lock)
        {
            if (_outcome is not null)
                return false;
            Volatile.Write(ref _outcome, outcome);
            _deadline?.Dispose();
            _deadline = null;
            if (_openStreams == 0)
                _closed.TrySetResult();
        }

        // Not under the lock, and not on the caller's time: what hangs on the token runs elsewhere.
        _ = _ended.CancelAsync();
        return true;
    }
}
