using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Relay.Policy;
using Relay.Protocol.Grid;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Sessions;

/// <summary>
/// The sessions that live on this silo. Ending one cuts its streams and tells its gateway first, and writes history afterwards,
/// so that a slow or absent database never delays a revocation. Safe for concurrent use.
/// </summary>
internal sealed partial class SessionRegistry : BackgroundService, ISnapshotObserver
{
    private const string Restarted = "connection lost: the gateway restarted";

    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);

    // A row says that it is over when it is: it waits for the streams, but not for one that will not end.
    private static readonly TimeSpan ClosingLimit = TimeSpan.FromSeconds(5);
    private static readonly ParallelOptions SideBySide = new() { MaxDegreeOfParallelism = 8 };

    private readonly ConcurrentDictionary<Guid, LiveSession> _live = new();
    private readonly ConcurrentDictionary<Guid, Ending> _unwritten = new();
    private readonly ConcurrentDictionary<Guid, bool> _unreported = new();
    private readonly EndedSessions _ended = new();
    private readonly DoubtfulSessions _doubtful;
    private readonly Wakeup _wakeup = new();
    private readonly SessionStore _store;
    private readonly SessionAuthorizer _authorizer;
    private readonly SnapshotCell _snapshots;
    private readonly GatewaySubscriptions _gateways;
    private readonly RevocationMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger<SessionRegistry> _logger;

    public SessionRegistry(
        SessionStore store,
        SessionAuthorizer authorizer,
        SnapshotCell snapshots,
        GatewaySubscriptions gateways,
        RevocationMetrics metrics,
        TimeProvider time,
        ILogger<SessionRegistry> logger)
    {
        _store = store;
        _authorizer = authorizer;
        _snapshots = snapshots;
        _gateways = gateways;
        _metrics = metrics;
        _time = time;
        _logger = logger;
        _doubtful = new DoubtfulSessions(time, gateways.Patience * 2);
        gateways.Lost += OnGatewayLost;
        gateways.Revoked += OnGatewayRevoked;
    }

    /// <summary>Raised after a session was added; not before its row exists.</summary>
    public event Action<LiveSession>? Started;

    /// <summary>Raised when a session is over.</summary>
    public event Action<LiveSession>? Finished;

    /// <summary>How many live here.</summary>
    public int Count => _live.Count;

    public IReadOnlyCollection<LiveSession> Live() => [.. _live.Values];

    /// <summary>Null: not here, or not that gateway's.</summary>
    public LiveSession? Find(Guid sessionId, string gateway)
    {
        if (!_live.TryGetValue(sessionId, out var session) || session.Facts.Gateway != gateway)
            return null;
        _doubtful.Clear(sessionId);
        return session;
    }

    /// <summary>Adds a session whose row was just written, and judges it again if its organization has changed since the decision.</summary>
    public void Add(LiveSession session, long decidedAtVersion)
    {
        _live[session.Id] = session;
        _doubtful.Add(session, "connection lost: the gateway did not take the session up");
        _gateways.Expect(session.Facts.Gateway);
        session.SetDeadline(session.EndsAt, _time, OnDeadline);
        Started?.Invoke(session);
        // A swap between decision and Add has not seen this session.
        if (_snapshots.Find(session.Facts.OrganizationId)?.Version != decidedAtVersion)
            Reevaluate(session);
    }

    /// <summary>The session here, or one that its gateway brings from another silo. Null: no such session, not that gateway's, or over.</summary>
    /// <exception cref="StoreUnavailableException">It is not here, and where it is cannot be asked now.</exception>
    public async ValueTask<LiveSession?> FindOrAdoptAsync(Guid sessionId, string gateway, CancellationToken cancellationToken)
    {
        if (_live.ContainsKey(sessionId))
            return Find(sessionId, gateway);
        // What ended here stays over, also while its end waits in the spool and the store shows it as live.
        if (_ended.Contains(sessionId))
            return null;
        if (await _store.AdoptAsync(sessionId, gateway, cancellationToken) is not { EndTime: null, SocketId: { } socketId } row)
            return null;

        var credential = JsonSerializer.Deserialize(row.Credential, SessionJson.Default.SessionCredential);
        if (credential is null || !IPAddress.TryParse(row.ClientIp, out var ip))
            return null;
        var facts = new SessionFacts(
            row.SessionId, row.OrganizationId, row.UserId, row.UserEmail, socketId, row.SocketName, row.SshUser.Length == 0 ? null : row.SshUser,
            ip, row.Gateway, credential, row.StartTime);
        if (row.KillRequestedAt is not null)
            return null;

        var session = new LiveSession(facts, endsAt: null);
        if (!_live.TryAdd(sessionId, session))
            return _live.GetValueOrDefault(sessionId);
        LogAdopted(_logger, sessionId, gateway);
        _gateways.Expect(gateway);
        Started?.Invoke(session);
        Reevaluate(session);
        return session.Outcome is null ? session : null;
    }

    /// <summary>Ends a session now; its row follows.</summary>
    /// <param name="reason">For the user.</param>
    /// <param name="audit">action_type of the audit event; null: none.</param>
    public void End(LiveSession session, string outcome, string reason, string? audit)
    {
        if (!session.TryEnd(outcome))
            return;
        _ended.Add(session.Id);
        _unwritten[session.Id] = new Ending(session, outcome, audit, WakeWhenClosedAsync(session));
        _live.TryRemove(session.Id, out _);
        _gateways.Publish(session.Facts.Gateway, new ControlMessage("end_session", session.Id, reason));
        Finished?.Invoke(session);
        LogEnded(_logger, session.Id, outcome);
    }

    /// <summary>The gateway says that it is over, or has more to say about one that is. False: not that gateway's session.</summary>
    public async Task<bool> EndByGatewayAsync(Guid sessionId, string gateway, EndSessionRequest request, CancellationToken cancellationToken)
    {
        var (up, down) = (Math.Max(0, request.BytesUp), Math.Max(0, request.BytesDown));
        _unreported.TryRemove(sessionId, out _);
        var outcome = PlainText.Clean(request.Outcome, 200);
        LiveSession? session;
        try
        {
            session = await FindOrAdoptAsync(sessionId, gateway, cancellationToken);
        }
        catch (StoreUnavailableException)
        {
            // Whose it is, the store will say when it is back.
            return await _store.LeaveAsync(sessionId, gateway, outcome, up, down, cancellationToken);
        }

        if (session is null)
        {
            if (_unwritten.TryGetValue(sessionId, out var ending) && ending.Session.Facts.Gateway == gateway)
            {
                ending.Session.ReportBytes(up, down);
                await WriteAsync(ending, cancellationToken);
            }

            return await _store.ReportBytesAsync(sessionId, gateway, up, down, cancellationToken)
                || await _store.LeaveUnknownAsync(sessionId, gateway, outcome, up, down, cancellationToken);
        }

        session.ReportBytes(up, down);
        End(session, outcome, "closed", audit: null);
        if (_unwritten.TryGetValue(sessionId, out var mine))
            await WriteAsync(mine, cancellationToken);
        return true;
    }

    /// <summary>Somebody asked for its end. False: it does not live here.</summary>
    public bool Kill(Guid sessionId, string by)
    {
        if (!_live.TryGetValue(sessionId, out var session))
            return false;
        End(session, $"killed by {by}", $"the session was ended by {by}", audit: SessionStore.KilledAudit);
        return true;
    }

    /// <summary>What a gateway that subscribes claims to have, against what lives here.</summary>
    public async Task<Reconciliation> ReconcileAsync(string gateway, IReadOnlyList<Guid> claimed, bool isOnlyStream, CancellationToken cancellationToken)
    {
        var (dead, undecided) = (new List<Guid>(), new List<Guid>());
        foreach (var sessionId in claimed.Distinct())
        {
            try
            {
                if (await FindOrAdoptAsync(sessionId, gateway, cancellationToken) is null)
                    dead.Add(sessionId);
            }
            catch (StoreUnavailableException)
            {
                undecided.Add(sessionId);
            }
        }

        if (isOnlyStream)
        {
            // A gateway that restarted does not claim what it had before. One that it has just opened may be missing from the list.
            var known = claimed.ToHashSet();
            var before = _time.GetUtcNow() - _gateways.Patience;
            foreach (var session in _live.Values.Where(s => s.Facts.Gateway == gateway && !known.Contains(s.Id)))
            {
                if (session.Facts.StartedAt < before)
                    End(session, Restarted, "the gateway restarted", audit: null);
                else
                    _doubtful.Add(session, Restarted);
            }
        }

        return new Reconciliation(dead, undecided);
    }

    public IReadOnlyList<Task> OnSwapped(Guid organizationId, OrgSnapshot? snapshot)
    {
        var closing = new List<Task>();
        foreach (var session in _live.Values)
        {
            if (session.Facts.OrganizationId != organizationId)
                continue;
            Reevaluate(session);
            if (session.Outcome is not null)
                closing.Add(session.Closed);
        }

        return closing;
    }

    /// <summary>A stream of the session has just been opened: it goes on only if what it was opened by still holds.</summary>
    public void StreamOpened(LiveSession session) => Reevaluate(session);

    /// <summary>A channel was allowed until then: the session is looked at again at the latest when that is over. Null: no limit.</summary>
    public void Bound(LiveSession session, DateTimeOffset? endsAt)
    {
        if (endsAt is not null && Earlier(session.EndsAt, endsAt) != session.EndsAt)
            session.SetDeadline(endsAt, _time, OnDeadline);
    }

    /// <summary>Whether it lives here, whosever it is.</summary>
    public LiveSession? Find(Guid sessionId) => _live.GetValueOrDefault(sessionId);

    /// <summary>Ends every session here.</summary>
    public void EndAll(string outcome, string reason)
    {
        foreach (var session in _live.Values)
        {
            _unreported[session.Id] = true;
            End(session, outcome, reason, audit: null);
        }
    }

    /// <summary>Waits until the gateways have brought what was left of the sessions that <see cref="EndAll"/> ended, for a while.</summary>
    public async Task ReportedAsync(TimeSpan atMost, CancellationToken cancellationToken)
    {
        var begun = _time.GetTimestamp();
        while (!_unreported.IsEmpty && _time.GetElapsedTime(begun) < atMost)
            await Task.Delay(TimeSpan.FromMilliseconds(20), _time, cancellationToken);
    }

    /// <summary>Ends what no gateway has.</summary>
    internal void EndForgotten()
    {
        foreach (var (session, outcome) in _doubtful.TakeForgotten())
            End(session, outcome, "the gateway does not have it", audit: null);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        _gateways.Lost -= OnGatewayLost;
        _gateways.Revoked -= OnGatewayRevoked;
        await base.StopAsync(cancellationToken);
        Task closing = Task.WhenAll(_unwritten.Values.Select(e => e.Closed));
        await closing.WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await WriteAllAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await _wakeup.WaitAsync(RetryInterval, _time, stoppingToken);
                EndForgotten();
                await WriteAllAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
        }
    }

    /// <summary>
    /// The store is back after an outage, perhaps as another server that lacks the last commits: whatever lives here has a row again.
    /// </summary>
    public async Task ReassertAsync(CancellationToken cancellationToken)
    {
        foreach (var session in _live.Values)
        {
            if (session.Row is not { } row)
                continue;
            await _store.InsertAsync(row, cancellationToken);
            // Its end may have been written before the row was there again.
            if (session.Outcome is { } outcome)
                await _store.EndAsync(session, outcome, audit: null, cancellationToken);
        }
    }

    private void OnDeadline(LiveSession session) => Reevaluate(session);

    private void OnGatewayLost(string gateway)
    {
        foreach (var session in _live.Values.Where(s => s.Facts.Gateway == gateway))
            End(session, "connection lost: the gateway is gone", "the gateway was lost", audit: null);
    }

    private void OnGatewayRevoked(string gateway)
    {
        foreach (var session in _live.Values.Where(s => s.Facts.Gateway == gateway))
            End(session, "access revoked: the gateway's token was revoked", "access revoked: the gateway's token was revoked", audit: "session.revoked");
    }

    // Everything the session may still be doing must still be allowed, by the snapshot of now.
    private void Reevaluate(LiveSession session)
    {
        var connect = _authorizer.Evaluate(session.Facts, new AccessAction.Connect(session.Facts.Username));
        if (!connect.Allowed)
        {
            Revoke(session, connect);
            return;
        }

        var endsAt = connect.Grant!.EndsAt;
        foreach (var action in session.TrackedActions())
        {
            var verdict = _authorizer.Evaluate(session.Facts, action);
            if (!verdict.Allowed)
            {
                Revoke(session, verdict);
                return;
            }

            endsAt = Earlier(endsAt, verdict.Grant!.EndsAt);
        }

        if (_authorizer.WhyCut(session) is { } why)
        {
            Revoke(session, why);
            return;
        }

        session.SetDeadline(endsAt, _time, OnDeadline);
    }

    private static DateTimeOffset? Earlier(DateTimeOffset? one, DateTimeOffset? other) => one is null || other < one ? other ?? one : one;

    private void Revoke(LiveSession session, SessionVerdict verdict)
    {
        // What the policy had said from the start is an end in time, not a revocation.
        if (verdict.Decision.ReasonCode == ReasonCode.SessionTooLong || verdict.Decision.Reasons.Any(r => r.Code == ReasonCode.SessionTooLong))
            End(session, "maximum duration reached", "the session has reached its maximum duration", audit: "session.expired");
        else if (session.EndsAt <= _time.GetUtcNow())
            End(session, "the time of access is over", "the time of access is over", audit: "session.expired");
        else
            End(session, $"access revoked: {verdict.Brief}", verdict.Explain(), audit: "session.revoked");
    }

    private async Task<long> WakeWhenClosedAsync(LiveSession session)
    {
        await session.Closed.WaitAsync(ClosingLimit, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        var closed = _time.GetTimestamp();
        _wakeup.Set();
        return closed;
    }

    private Task WriteAllAsync(CancellationToken cancellationToken) =>
        Parallel.ForEachAsync(_unwritten.Values.Where(e => e.Closed.IsCompleted), SideBySide, async (ending, _) => await WriteAsync(ending, cancellationToken));

    private async Task WriteAsync(Ending ending, CancellationToken cancellationToken)
    {
        try
        {
            if (await _store.EndAsync(ending.Session, ending.Outcome, ending.Audit, cancellationToken) is { } asked && ending.ClosedAt is { } closed)
                _metrics.Revocation.Observe(asked - _time.GetElapsedTime(closed));
            _unwritten.TryRemove(ending.Session.Id, out _);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // It stays in the list; the session is over either way.
            LogNotWritten(_logger, ending.Session.Id, e.Message);
        }
    }

    /// <param name="Dead">Must not live.</param>
    /// <param name="Undecided">Not here, and the store cannot be asked: to be asked about again when it is back.</param>
    internal readonly record struct Reconciliation(IReadOnlyList<Guid> Dead, IReadOnlyList<Guid> Undecided);

    /// <param name="Closed">Over when the row may be written; when that was, monotonic.</param>
    private sealed record Ending(LiveSession Session, string Outcome, string? Audit, Task<long> Closed)
    {
        public long? ClosedAt => Closed.IsCompletedSuccessfully ? Closed.Result : null;
    }
}
