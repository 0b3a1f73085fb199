using System.Text.Json;
using Dapper;
using Npgsql;
using Relay.Silo.History;
using Relay.Silo.Hosting;
using Relay.Silo.Storage;

namespace Relay.Silo.Sessions;

/// <summary>The session table, its events and their audit trail. Safe for concurrent use.</summary>
internal sealed class SessionStore(HistoryLog history, NpgsqlDataSource database, StoreHealth health, SiloIdentity self)
{
    /// <summary>action_type of the end of a session that somebody asked for.</summary>
    public const string KilledAudit = "session.killed";

    /// <summary>Writes a session or a refusal, with its audit event.</summary>
    /// <exception cref="Spool.SpoolFullException">There is no place for it.</exception>
    public Task InsertAsync(SessionRow row, CancellationToken cancellationToken) =>
        history.WriteAsync(new SessionOpened { SessionId = row.SessionId, Row = row, Silo = self.Address, Incarnation = self.Incarnation }, cancellationToken);

    /// <summary>
    /// Takes over a live session of that gateway whose silo the gateway has left; null: no such session, not that gateway's, or over
    /// (then <see cref="StoredSession.EndTime"/> is set).
    /// </summary>
    /// <exception cref="StoreUnavailableException">Nobody can tell now.</exception>
    public Task<StoredSession?> AdoptAsync(Guid sessionId, string gateway, CancellationToken cancellationToken) => health.RunAsync(async cancellation =>
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleOrDefaultAsync<StoredSession>(new CommandDefinition(
            """
            WITH adopted AS (
              UPDATE session SET silo = @silo, silo_incarnation = @incarnation
              WHERE session_id = @sessionId AND gateway = @gateway AND end_time IS NULL AND kill_requested_at IS NULL
            )
            SELECT session_id, organization_id, user_id, user_email, socket_id, socket_name, ssh_user, client_ip, gateway, credential, start_time, end_time,
              outcome, kill_requested_at, killed_by, recording_state <> 'disabled' AS recorded
            FROM session WHERE session_id = @sessionId AND gateway = @gateway
            """,
            new { sessionId, gateway, silo = self.Address, incarnation = self.Incarnation },
            cancellationToken: cancellation));
    }, cancellationToken);

    /// <summary>
    /// Ends a session that is this silo's; another silo's is left alone. Counters also reach a row that has ended a moment ago,
    /// because a gateway reports them after it was told to end. Idempotent.
    /// </summary>
    /// <param name="audit">action_type of an audit event to add; null: none (a session that its user closed).</param>
    /// <returns>By the database's clock, how long ago somebody asked for its end; null: nobody did, or the store is away.</returns>
    public async Task<TimeSpan?> EndAsync(LiveSession session, string outcome, string? audit, CancellationToken cancellationToken)
    {
        var asked = audit == KilledAudit && history.IsDirect;
        await history.WriteAsync(
            new SessionEnded { SessionId = session.Id, Incarnation = self.Incarnation, Outcome = outcome, Audit = audit, BytesUp = session.BytesUp, BytesDown = session.BytesDown }, cancellationToken);
        if (!asked)
            return null;
        try
        {
            return await health.RunAsync(async cancellation =>
            {
                await using var connection = await database.OpenConnectionAsync(cancellation);
                var seconds = await connection.QuerySingleOrDefaultAsync<double?>(new CommandDefinition(
                    "SELECT extract(epoch FROM clock_timestamp() - kill_requested_at)::float8 FROM session WHERE session_id = @id", new { id = session.Id }, cancellationToken: cancellation));
                return seconds is { } s ? TimeSpan.FromSeconds(s) : (TimeSpan?)null;
            }, cancellationToken);
        }
        catch (StoreUnavailableException)
        {
            return null;
        }
    }

    /// <summary>Ends a session of that gateway that this silo does not know. False: there is no such session, or it is over.</summary>
    public async Task<bool> LeaveAsync(Guid sessionId, string gateway, string outcome, long up, long down, CancellationToken cancellationToken) =>
        await history.WriteAsync(new SessionLeft { SessionId = sessionId, Gateway = gateway, Outcome = outcome, BytesUp = up, BytesDown = down }, cancellationToken) == FactResult.Written;

    /// <summary>Ends a session of that gateway whose beginning is nowhere in the store, once it comes. False: the store knows the session.</summary>
    public async Task<bool> LeaveUnknownAsync(Guid sessionId, string gateway, string outcome, long up, long down, CancellationToken cancellationToken) =>
        await history.AwaitBeginningAsync(new SessionLeft { SessionId = sessionId, Gateway = gateway, Outcome = outcome, BytesUp = up, BytesDown = down }, cancellationToken) == FactResult.Written;

    /// <summary>Counters of a gateway for a session that is over; only shortly after its end. False: not that gateway's, or too late.</summary>
    public async Task<bool> ReportBytesAsync(Guid sessionId, string gateway, long up, long down, CancellationToken cancellationToken) =>
        await history.WriteAsync(new BytesCounted { SessionId = sessionId, Gateway = gateway, BytesUp = up, BytesDown = down }, cancellationToken) == FactResult.Written;

    /// <summary>Writes an authorisation of a channel into the session's history and the audit trail.</summary>
    public Task RecordDecisionAsync(SessionFacts session, string type, SessionVerdict verdict, IReadOnlyDictionary<string, string> metadata, CancellationToken cancellationToken)
    {
        var detail = new Dictionary<string, string>(metadata, StringComparer.Ordinal)
        {
            ["session_id"] = session.Id.ToString("D"),
            ["decision_id"] = verdict.DecisionId.ToString("D"),
            ["reason"] = verdict.Brief,
            ["policy"] = verdict.Decision.PolicyName,
        };
        return history.WriteAsync(
            new ChannelDecided
            {
                // The decision's own id: asked for once, recorded once.
                Id = verdict.DecisionId,
                SessionId = session.Id,
                OrganizationId = session.OrganizationId,
                UserId = session.UserId,
                Email = session.Email,
                ClientIp = session.ClientIp.ToString(),
                SocketId = session.SocketId,
                Type = type,
                Allowed = verdict.Allowed,
                Detail = JsonSerializer.Serialize(detail, SessionJson.Default.DictionaryStringString),
            },
            cancellationToken);
    }

    /// <summary>Writes what a gateway says happened, also shortly after the session's end. False: not that gateway's, or too late.</summary>
    public async Task<bool> RecordEventAsync(Guid sessionId, string gateway, string type, string status, Dictionary<string, string> metadata, CancellationToken cancellationToken)
    {
        var happened = new EventHappened
        {
            SessionId = sessionId,
            Gateway = gateway,
            Type = type,
            Status = status,
            Metadata = JsonSerializer.Serialize(metadata, SessionJson.Default.DictionaryStringString),
        };
        // Gateways number their reports of a session, and repeat one whose answer was lost.
        if (metadata.TryGetValue("seq", out var number))
            happened = happened with { Id = Fact.NumberedId(sessionId, number) };
        return await history.WriteAsync(happened, cancellationToken) == FactResult.Written;
    }

    /// <summary>Through which connector and silo, and to which target, the session goes.</summary>
    /// <param name="connectorSilo">Grid address of the silo that holds the connector's tunnel.</param>
    public Task SetWayAsync(Guid sessionId, StreamWay way, string connectorSilo, CancellationToken cancellationToken) => history.WriteAsync(
        new WayTaken { SessionId = sessionId, ConnectorId = way.ConnectorId, ConnectorName = way.ConnectorName, ConnectorSilo = connectorSilo, Target = way.Target.Address }, cancellationToken);

    /// <summary>This silo's live sessions that somebody asked to end.</summary>
    public Task<IReadOnlyList<(Guid SessionId, string KilledBy)>> PendingKillsAsync(CancellationToken cancellationToken) => PendingKillsAsync(self.Incarnation, cancellationToken);

    /// <summary>A silo's live sessions that somebody asked to end.</summary>
    public async Task<IReadOnlyList<(Guid SessionId, string KilledBy)>> PendingKillsAsync(Guid incarnation, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return (await connection.QueryAsync<(Guid, string)>(new CommandDefinition(
            "SELECT session_id, killed_by FROM session WHERE end_time IS NULL AND kill_requested_at IS NOT NULL AND silo_incarnation = @incarnation",
            new { incarnation },
            cancellationToken: cancellationToken))).AsList();
    }

    /// <summary>
    /// Ends the rows of silos that are dead, once their gateways have had time to go on elsewhere (<see cref="AdoptAsync"/>).
    /// Returns how many. Every silo may do this at once.
    /// </summary>
    /// <param name="grace">After the last sign of life of a silo that was declared dead.</param>
    /// <param name="silence">After the last sign of life of one that nobody declared dead.</param>
    /// <param name="living">Starts of silos that are known to live, whatever the store has heard of them.</param>
    public async Task<int> ReapAsync(TimeSpan grace, TimeSpan silence, IReadOnlyList<Guid> living, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.ExecuteAsync(new CommandDefinition(
            """
            UPDATE session s SET end_time = now(), reaped = true, outcome = 'connection lost: the silo ' || s.silo || ' is gone'
            WHERE s.end_time IS NULL AND s.silo_incarnation <> ALL (@living) AND s.start_time < now() - @grace
              AND NOT EXISTS (
                SELECT 1 FROM silo_member m WHERE m.incarnation = s.silo_incarnation
                  AND m.alive_at > now() - CASE WHEN m.status = 'dead' THEN @grace ELSE @silence END)
            """,
            new { living = living.Append(self.Incarnation).ToArray(), grace, silence },
            cancellationToken: cancellationToken));
    }
}
