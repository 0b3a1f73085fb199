using System.Text.Json;
using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>connectors.</summary>
internal sealed class ConnectorsApi(NpgsqlDataSource database)
{
    private const string Select = """
        SELECT c.connector_id, c.name, c.description, c.created_at, c.last_seen_at, c.metadata, s.is_connected, s.silo, s.agent_address, s.attached_at,
               (SELECT count(*) FROM connector_token t WHERE t.connector_id = c.connector_id AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now()))::int AS active_tokens
        FROM connector c JOIN connector_status s USING (connector_id)
        """;

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/connectors", "list_connectors", "List connectors", (HttpContext http, ConnectorsApi api) => api.ListAsync(http)).WithPages("name", "status").Produces<Page<ConnectorResource>>();
        routes.Map("POST", "/connectors", "create_connector", "Create a connector", (HttpContext http, ConnectorsApi api) => api.CreateAsync(http))
            .Accepts<ConnectorWrite>("application/json").Produces<ConnectorResource>(201).Produces<ApiError>(409);
        routes.Map("GET", "/connectors/{connector}", "get_connector", "Show a connector, by id or name", (HttpContext http, string connector, ConnectorsApi api) => api.GetAsync(http, connector)).Produces<ConnectorResource>().Produces<ApiError>(404);
        routes.Map("PATCH", "/connectors/{connector}", "update_connector", "Change a connector", (HttpContext http, string connector, ConnectorsApi api) => api.UpdateAsync(http, connector))
            .Accepts<ConnectorWrite>("application/json").Produces<ConnectorResource>().Produces<ApiError>(404).Produces<ApiError>(409);
        routes.Map("DELETE", "/connectors/{connector}", "delete_connector", "Delete a connector and its tokens; its agent is told to stop", (HttpContext http, string connector, ConnectorsApi api) => api.DeleteAsync(http, connector)).Produces<Written>().Produces<ApiError>(404);
    }

    private async Task<IResult> ListAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        bool? connected = query.OneOf("status", "online", "offline") is { } status ? status == "online" : null;
        var filter = new { http.Caller().OrganizationId, Name = query.Text("name"), Connected = connected, query.Size, query.Offset };
        const string Where = " WHERE c.organization_id = @OrganizationId AND (@Name::text IS NULL OR lower(c.name) = lower(@Name)) AND (@Connected::boolean IS NULL OR s.is_connected = @Connected)";
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*) FROM connector c JOIN connector_status s USING (connector_id)" + Where, filter, cancellationToken: http.RequestAborted));
        var rows = await connection.QueryAsync<ConnectorRow>(new CommandDefinition(Select + Where + " ORDER BY lower(c.name) LIMIT @Size OFFSET @Offset", filter, cancellationToken: http.RequestAborted));
        return Reply.Ok(query.ToPage(await DescribeAsync(connection, null, rows.AsList(), http.RequestAborted), total), ApiJson.Default.ConnectorPage);
    }

    private async Task<IResult> GetAsync(HttpContext http, string connector)
    {
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var id = await connection.FindAsync(Named.Connector, http, connector);
        return Reply.Ok(await ReadAsync(connection, null, id, http.RequestAborted), ApiJson.Default.ConnectorResource);
    }

    private async Task<IResult> CreateAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.ConnectorWrite);
        var errors = new FieldErrors();
        var name = errors.Name("name", request.Name);
        var description = errors.Text("description", request.Description, 1000);
        errors.ThrowIfAny();
        var id = Guid.NewGuid();
        await using var write = await http.BeginWriteAsync(database);
        if (await http.ReplayAsync(write) is { } earlier)
            return earlier;
        if (await write.ExecuteAsync("INSERT INTO connector (connector_id, organization_id, name, description) VALUES (@id, @OrganizationId, @name, @description) ON CONFLICT DO NOTHING", new { id, write.OrganizationId, name, description }) == 0)
            throw ApiException.NameTaken("connector", name);
        await write.AuditAsync("connector.create", "connector", id.ToString("D"), new JsonObject { ["name"] = name });
        var resource = await ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted);
        return await http.CommitCreatedAsync(write, $"{ApiRoutes.Connectors}/{id:D}", resource, ApiJson.Default.ConnectorResource);
    }

    private async Task<IResult> UpdateAsync(HttpContext http, string connector)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.ConnectorWrite);
        var errors = new FieldErrors();
        if (request.Name is not null)
            errors.Name("name", request.Name);
        errors.Text("description", request.Description, 1000);
        errors.ThrowIfAny();
        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.Connector, connector, http.RequestAborted);
        if (request.Name is not null && await write.QuerySingleAsync<bool>("SELECT EXISTS (SELECT 1 FROM connector WHERE organization_id = @OrganizationId AND lower(name) = lower(@Name) AND connector_id <> @id)", new { id, write.OrganizationId, request.Name }))
            throw ApiException.NameTaken("connector", request.Name);
        await write.ExecuteAsync("UPDATE connector SET name = coalesce(@Name, name), description = coalesce(@Description, description) WHERE connector_id = @id", new { id, request.Name, request.Description });
        var resource = await ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted);
        await write.AuditAsync("connector.update", "connector", id.ToString("D"), new JsonObject { ["name"] = resource.Name });
        await write.CommitAsync();
        return Reply.Ok(resource, ApiJson.Default.ConnectorResource);
    }

    private async Task<IResult> DeleteAsync(HttpContext http, string connector)
    {
        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.Connector, connector, http.RequestAborted);
        var name = await write.QuerySingleAsync<string>("DELETE FROM connector WHERE connector_id = @id RETURNING name", new { id });
        await write.AuditAsync("connector.delete", "connector", id.ToString("D"), new JsonObject { ["name"] = name });
        await write.CommitAsync();
        return Reply.Written();
    }

    private static async Task<ConnectorResource> ReadAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, Guid id, CancellationToken cancellationToken)
    {
        var row = await connection.QuerySingleAsync<ConnectorRow>(new CommandDefinition(Select + " WHERE c.connector_id = @id", new { id }, transaction, cancellationToken: cancellationToken));
        return (await DescribeAsync(connection, transaction, [row], cancellationToken))[0];
    }

    private static async Task<IReadOnlyList<ConnectorResource>> DescribeAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, IReadOnlyList<ConnectorRow> rows, CancellationToken cancellationToken)
    {
        var sockets = (await connection.QueryAsync<(Guid ConnectorId, Guid SocketId, string Name)>(new CommandDefinition(
            "SELECT x.connector_id, s.socket_id, s.name FROM socket_connector x JOIN socket s USING (socket_id) WHERE x.connector_id = ANY(@ids) ORDER BY lower(s.name)",
            new { ids = rows.Select(r => r.ConnectorId).ToArray() }, transaction, cancellationToken: cancellationToken))).ToLookup(s => s.ConnectorId, s => new NamedRef(s.SocketId, s.Name));
        return [.. rows.Select(r => new ConnectorResource
        {
            ConnectorId = r.ConnectorId,
            Name = r.Name,
            Description = r.Description,
            Status = r.IsConnected ? "online" : "offline",
            IsConnected = r.IsConnected,
            LastSeenAt = r.LastSeenAt,
            ConnectedSince = r.IsConnected ? r.AttachedAt : null,
            ConnectedFrom = r.IsConnected ? r.AgentAddress : null,
            Silo = r.IsConnected ? r.Silo : null,
            ActiveTokens = r.ActiveTokens,
            Sockets = [.. sockets[r.ConnectorId]],
            Metadata = Texts(r.Metadata),
            CreatedAt = r.CreatedAt,
        })];
    }

    // What agents say about themselves is theirs to say; whatever is no text is shown as it was written.
    private static Dictionary<string, string> Texts(string json)
    {
        using var document = JsonDocument.Parse(json);
        return document.RootElement.ValueKind == JsonValueKind.Object
            ? document.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.ValueKind == JsonValueKind.String ? p.Value.GetString()! : p.Value.GetRawText())
            : [];
    }

    private sealed class ConnectorRow
    {
        public Guid ConnectorId { get; init; }

        public string Name { get; init; } = "";

        public string Description { get; init; } = "";

        public DateTimeOffset CreatedAt { get; init; }

        public DateTimeOffset? LastSeenAt { get; init; }

        public string Metadata { get; init; } = "{}";

        public bool IsConnected { get; init; }

        public string? Silo { get; init; }

        public string? AgentAddress { get; init; }

        public DateTimeOffset? AttachedAt { get; init; }

        public int ActiveTokens { get; init; }
    }
}
