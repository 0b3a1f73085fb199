using System.Globalization;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;

namespace Relay.Silo.Api.Resources;

/// <summary>audit_events.</summary>
internal sealed class AuditApi(NpgsqlDataSource database)
{
    public static void Map(ApiRoutesBuilder routes) =>
        routes.Map("GET", "/audit_events", "list_audit_events", "List audit events, latest first", (HttpContext http, AuditApi api) => api.ListAsync(http)).WithCursor("actor", "type", "resource", "outcome", "from", "to").Produces<Page<AuditEvent>>();

    private async Task<IResult> ListAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        long? before = query.Cursor is null ? null
            : long.TryParse(query.Cursor, NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : throw ListQuery.Bad("cursor", "is not one that this API handed out");
        var filter = new
        {
            http.Caller().OrganizationId,
            Actor = query.Text("actor"),
            Type = query.Text("type"),
            Resource = query.Text("resource"),
            Outcome = query.OneOf("outcome", "success", "denied", "failure"),
            From = query.Time("from"),
            To = query.Time("to"),
            before,
            Limit = query.Size + 1,
        };
        // type=policy matches policy.create, policy.update, …; resource is an id or a kind.
        const string Where = """
             FROM audit_event WHERE organization_id = @OrganizationId
               AND (@Actor::text IS NULL OR lower(actor_email) = lower(@Actor) OR actor_id = lower(@Actor))
               AND (@Type::text IS NULL OR action_type = @Type OR starts_with(action_type, @Type || '.'))
               AND (@Resource::text IS NULL OR resource_id = @Resource OR resource_type = @Resource)
               AND (@Outcome::text IS NULL OR outcome = @Outcome)
               AND (@From::timestamptz IS NULL OR performed_at >= @From) AND (@To::timestamptz IS NULL OR performed_at < @To)
            """;
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*)" + Where, filter, cancellationToken: http.RequestAborted));
        var rows = (await connection.QueryAsync<AuditRow>(new CommandDefinition(
            "SELECT event_id, performed_at, action_type, actor_id, actor_email, requestor_ip, resource_type, resource_id, outcome, request_id, detail" + Where
            + " AND (@before::bigint IS NULL OR event_id < @before) ORDER BY event_id DESC LIMIT @Limit",
            filter, cancellationToken: http.RequestAborted))).AsList();
        var next = rows.Count > query.Size ? rows[query.Size - 1].EventId.ToString(CultureInfo.InvariantCulture) : null;
        return Reply.Ok(query.ToPage<AuditEvent>([.. rows.Take(query.Size).Select(Describe)], total, next), ApiJson.Default.AuditEventPage);
    }

    private static AuditEvent Describe(AuditRow row) => new()
    {
        Id = row.EventId,
        PerformedAt = row.PerformedAt,
        ActionType = row.ActionType,
        ActorId = row.ActorId,
        ActorEmail = row.ActorEmail,
        RequestorIp = row.RequestorIp,
        ResourceType = row.ResourceType,
        ResourceId = row.ResourceId,
        Outcome = row.Outcome,
        RequestId = row.RequestId,
        Detail = PolicyRows.Element(row.Detail),
    };

    private sealed class AuditRow
    {
        public long EventId { get; init; }

        public DateTimeOffset PerformedAt { get; init; }

        public string ActionType { get; init; } = "";

        public string ActorId { get; init; } = "";

        public string ActorEmail { get; init; } = "";

        public string RequestorIp { get; init; } = "";

        public string ResourceType { get; init; } = "";

        public string ResourceId { get; init; } = "";

        public string Outcome { get; init; } = "";

        public string RequestId { get; init; } = "";

        public string Detail { get; init; } = "{}";
    }
}
