using System.Text.Json;
using Dapper;
using Npgsql;
using Relay.Silo.Hosting;

namespace Relay.Silo.Sessions;

/// <summary>The session table, its events and their audit trail. Safe for concurrent use.</summary>
internal sealed class SessionStore(NpgsqlDataSource database, SiloIdentity self)
{
    /// <summary>Writes a session or a refusal, with its audit event, and returns the database's time of it.</summary>
    public async Task<DateTimeOffset> InsertAsync(SessionRow row, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var started = await connection.QuerySingleAsync<DateTime>(new CommandDefinition(
            """
            WITH s AS (
              INSERT INTO session (session_id, organization_id, user_id, user_email, socket_id, socket_name, ssh_user, client_ip, client_port,
                client_version, credential, gateway, silo, silo_incarnation, "authorization", decision_id, policy_name, policy_version, reasons,
                end_time, outcome, recording_state)
              VALUES (@SessionId, @OrganizationId, @UserId, @UserEmail, @SocketId, @SocketName, @SshUser, @ClientIp, @ClientPort,
                @ClientVersion, @Credential::jsonb, @Gateway, @silo, @incarnation, CASE WHEN @Allowed THEN 'allowed' ELSE 'denied' END, @DecisionId,
                @PolicyName, @PolicyVersion, @Reasons::jsonb,
                CASE WHEN @Allowed THEN NULL ELSE now() END, CASE WHEN @Allowed THEN '' ELSE 'denied' END, CASE WHEN @Recorded THEN 'recording' ELSE 'disabled' END)
              RETURNING start_time
            ), a AS (
              INSERT INTO audit_event (organization_id, action_type, actor_id, actor_email, requestor_ip, resource_type, resource_id, outcome, detail)
              VALUES (@OrganizationId, CASE WHEN @Allowed THEN 'session.open' ELSE 'session.denied' END, @UserId::text, @UserEmail, @ClientIp, 'socket',
                coalesce(@SocketId::text, @SocketName), CASE WHEN @Allowed THEN 'success' ELSE 'denied' END,
                jsonb_build_object('session_id', @SessionId, 'decision_id', @DecisionId, 'socket', @SocketName, 'ssh_user', @SshUser,
                  'policy', @PolicyName, 'policy_version', @PolicyVersion, 'gateway', @Gateway, 'reasons', @Reasons::jsonb))
            ), k AS (
              UPDATE user_ssh_key SET last_used_at = now() WHERE @Allowed AND user_id = @UserId AND fingerprint = @Credential::jsonb->>'fingerprint'
            )
            SELECT start_time FROM s
            """,
            new
            {
                row.SessionId,
                row.OrganizationId,
                row.UserId,
                row.UserEmail,
                row.SocketId,
                row.SocketName,
                row.SshUser,
                row.ClientIp,
                row.ClientPort,
                row.ClientVersion,
                row.Credential,
                row.Gateway,
                row.Allowed,
                row.DecisionId,
                row.PolicyName,
                row.PolicyVersion,
                row.Reasons,
                row.Recorded,
                silo = self.Address,
                incarnation = self.Incarnation,
            },
            cancellationToken: cancellationToken));
        return new DateTimeOffset(started, TimeSpan.Zero);
    }

    /// <summary>
    /// Takes over a live session of that gateway whose silo the gateway has left; null: no such session, not that gateway's, or over
    /// (then <see cref="StoredSession.EndTime"/> is set).
    /// </summary>
    public async Task<StoredSession?> AdoptAsync(Guid sessionId, string gateway, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
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
            cancellationToken: cancellationToken));
    }

    /// <summary>
    /// Ends a session that is this silo's; another silo's is left alone. Counters also reach a row that has ended a moment ago,
    /// because a gateway reports them after it was told to end. Idempotent.
    /// </summary>
    /// <param name="audit">action_type of an audit event to add; null: none (a session that its user closed).</param>
    /// <returns>By the database's clock, how long ago somebody asked for its end; null: nobody did.</returns>
    public async Task<TimeSpan?> EndAsync(LiveSession session, string outcome, string? audit, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var asked = await connection.QuerySingleOrDefaultAsync<double?>(new CommandDefinition(
            """
            WITH ended AS (
              UPDATE session SET end_time = now(), outcome = @outcome, bytes_up = greatest(bytes_up, @up), bytes_down = greatest(bytes_down, @down)
              WHERE session_id = @id AND end_time IS NULL AND silo_incarnation = @incarnation
              RETURNING organization_id, user_id, user_email, client_ip, session_id, kill_requested_at
            )            , audited AS (
              INSERT INTO audit_event (organization_id, action_type, actor_id, actor_email, requestor_ip, resource_type, resource_id, detail)
              SELECT organization_id, @audit, user_id::text, user_email, client_ip, 'session', session_id::text, jsonb_build_object('outcome', @outcome::text)
              FROM ended WHERE @audit::text IS NOT NULL
            )
            SELECT extract(epoch FROM clock_timestamp() - kill_requested_at)::float8 FROM ended
            """,
            new { id = session.Id, outcome, audit, up = session.BytesUp, down = session.BytesDown, incarnation = self.Incarnation },
            cancellationToken: cancellationToken));
        return asked is { } seconds ? TimeSpan.FromSeconds(seconds) : null;
    }

    /// <summary>Counters of a gateway for a session that is over; only shortly after its end. False: not that gateway's, or too late.</summary>
    public async Task<bool> ReportBytesAsync(Guid sessionId, string gateway, long up, long down, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.ExecuteAsync(new CommandDefinition(
            """
            UPDATE session SET bytes_up = greatest(bytes_up, @up), bytes_down = greatest(bytes_down, @down)
            WHERE session_id = @sessionId AND gateway = @gateway AND end_time > now() - interval '2 minutes'
            """,
            new { sessionId, gateway, up, down },
            cancellationToken: cancellationToken)) > 0;
    }

    /// <summary>Writes an authorisation of a channel into the session's history and the audit trail.</summary>
    public async Task RecordDecisionAsync(SessionFacts session, string type, SessionVerdict verdict, IReadOnlyDictionary<string, string> metadata, CancellationToken cancellationToken)
    {
        var detail = new Dictionary<string, string>(metadata, StringComparer.Ordinal)
        {
            ["session_id"] = session.Id.ToString("D"),
            ["decision_id"] = verdict.DecisionId.ToString("D"),
            ["reason"] = verdict.Brief,
            ["policy"] = verdict.Decision.PolicyName,
        };
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.ExecuteAsync(new CommandDefinition(
            """
            WITH e AS (INSERT INTO session_event (session_id, type, status, metadata) VALUES (@id, @type, @status, @detail::jsonb))
            INSERT INTO audit_event (organization_id, action_type, actor_id, actor_email, requestor_ip, resource_type, resource_id, outcome, detail)
            VALUES (@organization, @action, @user, @email, @ip, 'socket', @socket, @outcome, @detail::jsonb)
            """,
            new
            {
                id = session.Id,
                type,
                status = verdict.Allowed ? "allowed" : "denied",
                detail = JsonSerializer.Serialize(detail, SessionJson.Default.DictionaryStringString),
                organization = session.OrganizationId,
                action = "session." + type,
                user = session.UserId.ToString("D"),
                email = session.Email,
                ip = session.ClientIp.ToString(),
                socket = session.SocketId.ToString("D"),
                outcome = verdict.Allowed ? "success" : "denied",
            },
            cancellationToken: cancellationToken));
    }

    /// <summary>Writes what a gateway says happened, also shortly after the session's end. False: not that gateway's, or too late.</summary>
    public async Task<bool> RecordEventAsync(Guid sessionId, string gateway, string type, string status, Dictionary<string, string> metadata, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.ExecuteAsync(new CommandDefinition(
            """
            INSERT INTO session_event (session_id, type, status, metadata)
            SELECT session_id, @type, @status, @metadata::jsonb FROM session
            WHERE session_id = @sessionId AND gateway = @gateway AND (end_time IS NULL OR end_time > now() - interval '2 minutes')
            """,
            new { sessionId, gateway, type, status, metadata = JsonSerializer.Serialize(metadata, SessionJson.Default.DictionaryStringString) },
            cancellationToken: cancellationToken)) > 0;
    }

    /// <summary>Through which connector and silo, and to which target, the session goes.</summary>
    /// <param name="connectorSilo">Grid address of the silo that holds the connector's tunnel.</param>
    public async Task SetWayAsync(Guid sessionId, StreamWay way, string connectorSilo, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.ExecuteAsync(new CommandDefinition(
            "UPDATE session SET connector_id = @ConnectorId, connector_name = @ConnectorName, connector_silo = @connectorSilo, target = @target WHERE session_id = @sessionId",
            new { sessionId, way.ConnectorId, way.ConnectorName, connectorSilo, target = way.Target.Address },
            cancellationToken: cancellationToken));
    }

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
    public async Task<int> ReapAsync(TimeSpan grace, TimeSpan silence, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.ExecuteAsync(new CommandDefinition(
            """
            UPDATE session s SET end_time = now(), outcome = 'connection lost: the silo ' || s.silo || ' is gone'
            WHERE s.end_time IS NULL AND s.silo_incarnation <> @incarnation AND s.start_time < now() - @grace
              AND NOT EXISTS (
                SELECT 1 FROM silo_member m WHERE m.incarnation = s.silo_incarnation
                  AND m.alive_at > now() - CASE WHEN m.status = 'dead' THEN @grace ELSE @silence END)
            """,
            new { incarnation = self.Incarnation, grace, silence },
            cancellationToken: cancellationToken));
    }
}
