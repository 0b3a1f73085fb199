using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>sessions: history, live ones, kill.</summary>
internal sealed class SessionsApi(NpgsqlDataSource database)
{
    private const string Filter = """
         WHERE s.organization_id = @OrganizationId AND (@OnlyUser::uuid IS NULL OR s.user_id = @OnlyUser)
           AND (@User::text IS NULL OR lower(s.user_email) = lower(@User) OR s.user_id::text = lower(@User))
           AND (@Socket::text IS NULL OR lower(s.socket_name) = lower(@Socket) OR s.socket_id::text = lower(@Socket))
           AND (@Connector::text IS NULL OR lower(s.connector_name) = lower(@Connector) OR s.connector_id::text = lower(@Connector))
           AND (@From::timestamptz IS NULL OR s.start_time >= @From) AND (@To::timestamptz IS NULL OR s.start_time < @To)
           AND (@Result::text IS NULL OR CASE @Result WHEN 'killed' THEN s.kill_requested_at IS NOT NULL ELSE s."authorization" = @Result END)
           AND (@Live::boolean IS NULL OR @Live = (s.end_time IS NULL))
        """;

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/sessions", "list_sessions", "List sessions, latest first", (HttpContext http, SessionsApi api) => api.ListAsync(http)).WithCursor("user", "socket", "connector", "from", "to", "result", "live").Produces<Page<SessionResource>>();
        routes.Map("POST", "/sessions/kill", "kill_sessions", "End all live sessions of a user, a socket or a connector", (HttpContext http, SessionsApi api) => api.KillManyAsync(http))
            .Accepts<SessionKill>("application/json").Produces<SessionKillResult>();
        routes.Map("GET", "/sessions/{session}", "get_session", "Show a session with its events and recordings", (HttpContext http, string session, SessionsApi api) => api.GetAsync(http, session)).Produces<SessionResource>().Produces<ApiError>(404);
        routes.Map("POST", "/sessions/{session}/kill", "kill_session", "End a live session", (HttpContext http, string session, SessionsApi api) => api.KillAsync(http, session)).Produces<SessionKillResult>().Produces<ApiError>(404).Produces<ApiError>(409);
    }

    private async Task<IResult> ListAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        var caller = http.Caller();
        var (afterTime, afterId) = SessionCursor.Parse(query.Cursor);
        var filter = new
        {
            caller.OrganizationId,
            OnlyUser = caller.Roles == Roles.Client ? caller.UserId : (Guid?)null,
            User = query.Text("user"),
            Socket = query.Text("socket"),
            Connector = query.Text("connector"),
            From = query.Time("from"),
            To = query.Time("to"),
            Result = query.OneOf("result", "allowed", "denied", "killed"),
            Live = query.Flag("live"),
            afterTime,
            afterId,
            Limit = query.Size + 1,
        };
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*) FROM session s" + Filter, filter, cancellationToken: http.RequestAborted));
        var rows = (await connection.QueryAsync<SessionRow>(new CommandDefinition(
            SessionRow.Select + Filter + " AND (@afterTime::timestamptz IS NULL OR (s.start_time, s.session_id) < (@afterTime, @afterId)) ORDER BY s.start_time DESC, s.session_id DESC LIMIT @Limit",
            filter, cancellationToken: http.RequestAborted))).AsList();
        var next = rows.Count > query.Size ? SessionCursor.Format(rows[query.Size - 1]) : null;
        return Reply.Ok(query.ToPage<SessionResource>([.. rows.Take(query.Size).Select(r => r.Describe())], total, next), ApiJson.Default.SessionPage);
    }

    private async Task<IResult> GetAsync(HttpContext http, string session)
    {
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var row = await SessionRow.FindAsync(connection, http, session, ownOnly: http.Caller().Roles == Roles.Client);
        var events = await connection.QueryAsync<EventRow>(new CommandDefinition("SELECT created_at, type, status, metadata FROM session_event WHERE session_id = @SessionId ORDER BY event_id LIMIT 10000", new { row.SessionId }, cancellationToken: http.RequestAborted));
        var resource = row.Describe() with
        {
            Recordings = await RecordingsApi.ReadAsync(connection, row.SessionId, http.RequestAborted),
            Events = [.. events.Select(e => new SessionEvent { CreatedAt = e.CreatedAt, Type = e.Type, Status = e.Status, Metadata = PolicyRows.Element(e.Metadata) })],
        };
        return Reply.Ok(resource, ApiJson.Default.SessionResource);
    }

    private async Task<IResult> KillAsync(HttpContext http, string session)
    {
        // An administrator ends anybody's, everyone their own.
        await using var write = await http.BeginWriteAsync(database);
        var row = await SessionRow.FindAsync(write.Connection, http, session, ownOnly: !http.Caller().IsAdmin);
        if (row.EndTime is not null)
            throw new ApiException(409, ErrorCodes.Conflict, $"the session ended at {row.EndTime:O}");
        return await KillAsync(http, write, [row.SessionId]);
    }

    private async Task<IResult> KillManyAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.SessionKill);
        if (string.IsNullOrEmpty(request.User) && string.IsNullOrEmpty(request.Socket) && string.IsNullOrEmpty(request.Connector))
            throw ApiException.Invalid([new Relay.Api.ApiErrorDetail("user", "is required, or socket, or connector")]);
        await using var write = await http.BeginWriteAsync(database);
        var filter = new
        {
            write.OrganizationId,
            OnlyUser = (Guid?)null,
            User = Wanted(request.User),
            Socket = Wanted(request.Socket),
            Connector = Wanted(request.Connector),
            From = (DateTimeOffset?)null,
            To = (DateTimeOffset?)null,
            Result = (string?)null,
            Live = (bool?)true,
        };
        var ids = await write.QueryAsync<Guid>("SELECT s.session_id FROM session s" + Filter, filter);
        return await KillAsync(http, write, ids);
    }

    private static string? Wanted(string? text) => string.IsNullOrEmpty(text) ? null : text;

    // The row first, then the signal: a silo that misses the signal finds the row at its next look.
    private static async Task<IResult> KillAsync(HttpContext http, OrganizationWrite write, IReadOnlyList<Guid> ids)
    {
        var killed = await write.QueryAsync<Guid>("""
            UPDATE session SET kill_requested_at = coalesce(kill_requested_at, now()), killed_by = CASE WHEN kill_requested_at IS NULL THEN @Email ELSE killed_by END
            WHERE session_id = ANY(@ids) AND end_time IS NULL RETURNING session_id
            """, new { http.Caller().Email, ids = ids.ToArray() });
        foreach (var id in killed)
        {
            await write.ExecuteAsync("SELECT pg_notify('relay_session_kill', @id::text)", new { id });
            await write.AuditAsync("session.kill", "session", id.ToString("D"));
        }
        await write.CommitAsync(bump: false);
        await http.WaitForKillsAsync(killed);
        return Reply.Ok(new SessionKillResult(killed.Count, killed), ApiJson.Default.SessionKillResult);
    }

    private sealed class EventRow
    {
        public DateTimeOffset CreatedAt { get; init; }

        public string Type { get; init; } = "";

        public string Status { get; init; } = "";

        public string Metadata { get; init; } = "{}";
    }
}
