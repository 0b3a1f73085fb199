using Dapper;
using Npgsql;
using Relay.Silo.Recordings;

namespace Relay.Silo.History;

/// <summary>Facts as SQL. Each is applied once, however often it is tried: by its id, or by what it is about. Safe for concurrent use.</summary>
internal sealed class FactTable(RecordingStore recordings)
{
    /// <summary>Applies one fact.</summary>
    /// <param name="transaction">Null: every statement stands alone, and a fact that was applied in part can be applied again.</param>
    public async Task<FactResult> ApplyAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, Fact fact, CancellationToken cancellationToken)
    {
        switch (fact)
        {
            case SessionOpened opened:
                await ExecuteAsync(Opened, Parameters(opened));
                return FactResult.Written;
            case SessionEnded ended:
                await ExecuteAsync(Ended, new { fact.Id, fact.At, fact.SessionId, ended.Incarnation, ended.Outcome, ended.Audit, ended.BytesUp, ended.BytesDown });
                await RecordingStates.SettleAsync(connection, transaction, fact.SessionId, cancellationToken);
                return FactResult.Written;
            case SessionLeft left:
                var over = await ExecuteAsync(Left, new { fact.At, fact.SessionId, left.Gateway, left.Outcome, left.BytesUp, left.BytesDown });
                await RecordingStates.SettleAsync(connection, transaction, fact.SessionId, cancellationToken);
                return Found(over);
            case BytesCounted bytes:
                return Found(await ExecuteAsync(Counted, new { fact.At, fact.SessionId, bytes.Gateway, bytes.BytesUp, bytes.BytesDown }));
            case ChannelDecided decided:
                await ExecuteAsync(Decided, new
                {
                    fact.Id,
                    fact.At,
                    fact.SessionId,
                    decided.OrganizationId,
                    decided.Email,
                    decided.ClientIp,
                    decided.Type,
                    decided.Detail,
                    user = decided.UserId.ToString("D"),
                    socket = decided.SocketId.ToString("D"),
                    status = decided.Allowed ? "allowed" : "denied",
                    action = "session." + decided.Type,
                    outcome = decided.Allowed ? "success" : "denied",
                });
                return FactResult.Written;
            case EventHappened happened:
                return Found(await connection.QuerySingleAsync<int>(Command(Happened, new { fact.Id, fact.At, fact.SessionId, happened.Gateway, happened.Type, happened.Status, happened.Metadata })));
            case WayTaken way:
                await ExecuteAsync(Taken, new { fact.SessionId, way.ConnectorId, way.ConnectorName, way.ConnectorSilo, way.Target });
                return FactResult.Written;
            case ChunkRecorded chunk:
                return await recordings.ApplyAsync(connection, transaction, chunk, cancellationToken);
            default:
                throw new InvalidOperationException($"there is no table for {fact.GetType().Name}");
        }

        Task<int> ExecuteAsync(string sql, object parameters) => connection.ExecuteAsync(Command(sql, parameters));

        CommandDefinition Command(string sql, object parameters) => new(sql, parameters, transaction, cancellationToken: cancellationToken);
    }

    /// <summary>Whether the session's beginning is in the store, whosever it is.</summary>
    public static Task<bool> KnowsAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, Guid sessionId, CancellationToken cancellationToken) =>
        connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            "SELECT EXISTS (SELECT 1 FROM session WHERE session_id = @sessionId)", new { sessionId }, transaction, cancellationToken: cancellationToken));

    private static FactResult Found(int rows) => rows > 0 ? FactResult.Written : FactResult.NoSession;

    private static object Parameters(SessionOpened opened)
    {
        var row = opened.Row;
        return new
        {
            opened.Id,
            opened.At,
            row.SessionId,
            row.OrganizationId,
            row.UserId,
            row.UserEmail,
            row.SocketId,
            row.SocketName,
            row.SessionType,
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
            opened.Silo,
            opened.Incarnation,
        };
    }

    // A write that was given up may arrive long after, and takes the time at which it does: the spooled one knows better.
    private const string Opened = """
        WITH s AS (
          INSERT INTO session (session_id, organization_id, user_id, user_email, socket_id, socket_name, session_type, ssh_user, client_ip, client_port,
            client_version, credential, gateway, silo, silo_incarnation, "authorization", decision_id, policy_name, policy_version, reasons,
            start_time, end_time, outcome, recording_state)
          VALUES (@SessionId, @OrganizationId, @UserId, @UserEmail, @SocketId, @SocketName, @SessionType, @SshUser, @ClientIp, @ClientPort,
            @ClientVersion, @Credential::jsonb, @Gateway, @Silo, @Incarnation, CASE WHEN @Allowed THEN 'allowed' ELSE 'denied' END, @DecisionId,
            @PolicyName, @PolicyVersion, @Reasons::jsonb, coalesce(@At, now()),
            CASE WHEN @Allowed THEN NULL ELSE coalesce(@At, now()) END, CASE WHEN @Allowed THEN '' ELSE 'denied' END, CASE WHEN @Recorded THEN 'recording' ELSE 'disabled' END)
          ON CONFLICT (session_id) DO UPDATE SET start_time = excluded.start_time WHERE @At IS NOT NULL AND session.start_time > excluded.start_time
          RETURNING xmax = 0 AS is_new
        ), a AS (
          INSERT INTO audit_event (fact_id, performed_at, organization_id, action_type, actor_id, actor_email, requestor_ip, resource_type, resource_id, outcome, detail)
          SELECT @Id, coalesce(@At, now()), @OrganizationId, CASE WHEN @Allowed THEN 'session.open' ELSE 'session.denied' END, @UserId::text, @UserEmail, @ClientIp, 'socket',
            coalesce(@SocketId::text, @SocketName), CASE WHEN @Allowed THEN 'success' ELSE 'denied' END,
            jsonb_build_object('session_id', @SessionId, 'decision_id', @DecisionId, 'socket', @SocketName, 'ssh_user', @SshUser,
              'policy', @PolicyName, 'policy_version', @PolicyVersion, 'gateway', @Gateway, 'reasons', @Reasons::jsonb)
          FROM s WHERE is_new
        )
        UPDATE user_ssh_key SET last_used_at = greatest(last_used_at, coalesce(@At, now())) WHERE @Allowed AND user_id = @UserId AND fingerprint = @Credential::jsonb->>'fingerprint'
        """;

    private const string Ended = """
        WITH ended AS (
          UPDATE session SET end_time = coalesce(@At, now()), outcome = @Outcome, reaped = false, bytes_up = greatest(bytes_up, @BytesUp), bytes_down = greatest(bytes_down, @BytesDown)
          WHERE session_id = @SessionId AND (end_time IS NULL OR reaped OR (end_time > @At AND outcome = @Outcome)) AND silo_incarnation = @Incarnation
          RETURNING organization_id, user_id, user_email, client_ip, session_id
        )
        INSERT INTO audit_event (fact_id, performed_at, organization_id, action_type, actor_id, actor_email, requestor_ip, resource_type, resource_id, detail)
        SELECT @Id, coalesce(@At, now()), organization_id, @Audit, user_id::text, user_email, client_ip, 'session', session_id::text, jsonb_build_object('outcome', @Outcome::text)
        FROM ended WHERE @Audit::text IS NOT NULL
        ON CONFLICT (fact_id) DO NOTHING
        """;

    private const string Left = """
        UPDATE session SET end_time = coalesce(@At, now()), outcome = @Outcome, reaped = false, bytes_up = greatest(bytes_up, @BytesUp), bytes_down = greatest(bytes_down, @BytesDown)
        WHERE session_id = @SessionId AND gateway = @Gateway AND (end_time IS NULL OR reaped)
        """;

    private const string Counted = """
        UPDATE session SET bytes_up = greatest(bytes_up, @BytesUp), bytes_down = greatest(bytes_down, @BytesDown)
        WHERE session_id = @SessionId AND gateway = @Gateway AND end_time > coalesce(@At, now()) - interval '2 minutes'
        """;

    private const string Decided = """
        WITH e AS (
          INSERT INTO session_event (fact_id, created_at, session_id, type, status, metadata)
          SELECT @Id, coalesce(@At, now()), session_id, @Type, @status, @Detail::jsonb FROM session WHERE session_id = @SessionId
          ON CONFLICT (fact_id) DO NOTHING
        )
        INSERT INTO audit_event (fact_id, performed_at, organization_id, action_type, actor_id, actor_email, requestor_ip, resource_type, resource_id, outcome, detail)
        VALUES (@Id, coalesce(@At, now()), @OrganizationId, @action, @user, @Email, @ClientIp, 'socket', @socket, @outcome, @Detail::jsonb)
        ON CONFLICT (fact_id) DO NOTHING
        """;

    private const string Happened = """
        WITH s AS (
          SELECT session_id FROM session
          WHERE session_id = @SessionId AND gateway = @Gateway AND (end_time IS NULL OR end_time > coalesce(@At, now()) - interval '2 minutes')
        ), e AS (
          INSERT INTO session_event (fact_id, created_at, session_id, type, status, metadata)
          SELECT @Id, coalesce(@At, now()), session_id, @Type, @Status, @Metadata::jsonb FROM s
          ON CONFLICT (fact_id) DO NOTHING
        )
        SELECT count(*)::int FROM s
        """;

    private const string Taken =
        "UPDATE session SET connector_id = @ConnectorId, connector_name = @ConnectorName, connector_silo = @ConnectorSilo, target = @Target WHERE session_id = @SessionId";
}
