using System.Text.Json;
using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Protocol.Ssh;
using Relay.Silo.Api.Http;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>sockets.</summary>
internal sealed class SocketsApi(NpgsqlDataSource database, SecretVault vault)
{
    private static readonly SocketSecrets NoSecrets = new(null, null);

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/sockets", "list_sockets", "List sockets", (HttpContext http, SocketsApi api) => api.ListAsync(http)).WithPages("name", "type", "connector", "tag").Produces<Page<SocketResource>>();
        routes.Map("POST", "/sockets", "create_socket", "Create a socket", (HttpContext http, SocketsApi api) => api.CreateAsync(http))
            .Accepts<SocketCreate>("application/json").Produces<SocketResource>(201).Produces<ApiError>(409);
        routes.Map("GET", "/sockets/{socket}", "get_socket", "Show a socket, by id or name", (HttpContext http, string socket, SocketsApi api) => api.GetAsync(http, socket)).Produces<SocketResource>().Produces<ApiError>(404);
        routes.Map("PATCH", "/sockets/{socket}", "update_socket", "Change a socket (If-Match)", (HttpContext http, string socket, SocketsApi api) => api.UpdateAsync(http, socket))
            .Accepts<SocketUpdate>("application/json").Produces<SocketResource>().Produces<ApiError>(404).Produces<ApiError>(409).Produces<ApiError>(412);
        routes.Map("DELETE", "/sockets/{socket}", "delete_socket", "Delete a socket; ends its live sessions (If-Match)", (HttpContext http, string socket, SocketsApi api) => api.DeleteAsync(http, socket)).Produces<Written>().Produces<ApiError>(404).Produces<ApiError>(412);
    }

    private async Task<IResult> ListAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        var tag = query.Text("tag") is { } text
            ? text.Split('=', 2) is [var key, var value] ? new JsonObject { [key] = value }.ToJsonString() : throw ListQuery.Bad("tag", "must be key=value")
            : null;
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        Guid? connectorId = query.Text("connector") is { } connector ? await connection.FindAsync(Named.Connector, http, connector) : null;
        var filter = new { http.Caller().OrganizationId, Name = query.Text("name"), Type = UpstreamValidator.Canonical(query.Text("type")), ConnectorId = connectorId, Tag = tag, query.Size, query.Offset };
        const string Where = """
             WHERE s.organization_id = @OrganizationId AND (@Name::text IS NULL OR lower(s.name) = lower(@Name)) AND (@Type::text IS NULL OR s.socket_type = @Type)
               AND (@ConnectorId::uuid IS NULL OR EXISTS (SELECT 1 FROM socket_connector x WHERE x.socket_id = s.socket_id AND x.connector_id = @ConnectorId))
               AND (@Tag::jsonb IS NULL OR s.tags @> @Tag::jsonb)
            """;
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*) FROM socket s" + Where, filter, cancellationToken: http.RequestAborted));
        var rows = await connection.QueryAsync<SocketRow>(new CommandDefinition(SocketRows.Select + Where + " ORDER BY lower(s.name) LIMIT @Size OFFSET @Offset", filter, cancellationToken: http.RequestAborted));
        return Reply.Ok(query.ToPage(await SocketRows.DescribeAsync(connection, null, rows.AsList(), http.RequestAborted), total), ApiJson.Default.SocketPage);
    }

    private async Task<IResult> GetAsync(HttpContext http, string socket)
    {
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var id = await connection.FindAsync(Named.Socket, http, socket);
        var resource = await SocketRows.ReadAsync(connection, null, id, http.RequestAborted);
        return Reply.Ok(resource, ApiJson.Default.SocketResource).WithETag(resource.Version);
    }

    private async Task<IResult> CreateAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.SocketCreate);
        var errors = new FieldErrors();
        // Whatever the case somebody writes, it is the same socket; one spelling is stored (L19: names are [a-z0-9-]).
        var name = errors.Name("name", request.Name?.ToLowerInvariant());
        var displayName = errors.Text("display_name", request.DisplayName);
        var description = errors.Text("description", request.Description, 1000);
        CheckTags(http, request.Tags, errors);
        var hostKeys = CheckHostKeys(request.HostKeys, errors);
        var upstream = UpstreamValidator.Validate(request.UpstreamConfiguration, request.SocketType, null, NoSecrets, errors);
        CheckRecording(upstream?.Configuration.ServiceType, request.RecordingEnabled, request.HostKeys, errors);

        await using var write = await http.BeginWriteAsync(database);
        if (await http.ReplayAsync(write) is { } earlier)
            return earlier;
        var connectors = await ResolveAsync(write, request.ConnectorIds ?? [], errors, http.RequestAborted);
        errors.ThrowIfAny();
        var id = Guid.NewGuid();
        var created = await write.ExecuteAsync("""
            INSERT INTO socket (socket_id, organization_id, name, display_name, description, socket_type, tags, recording_enabled, upstream, upstream_secrets, host_keys)
            VALUES (@id, @OrganizationId, @name, @displayName, @description, @type, @tags::jsonb, @recording, @upstream::jsonb, @secrets, @hostKeys) ON CONFLICT DO NOTHING
            """, new
        {
            id,
            write.OrganizationId,
            name,
            displayName,
            description,
            type = upstream!.Value.Configuration.ServiceType,
            tags = TagsJson(request.Tags ?? new Dictionary<string, string>()),
            recording = request.RecordingEnabled ?? upstream.Value.Configuration.ServiceType == "ssh",
            upstream = SocketRows.Store(upstream.Value.Configuration),
            secrets = vault.SealSocket(id, upstream.Value.Secrets),
            hostKeys,
        });
        if (created == 0)
            throw ApiException.NameTaken("socket", name);
        await SetConnectorsAsync(write, id, connectors);
        var resource = await SocketRows.ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted);
        await write.AuditAsync("socket.create", "socket", id.ToString("D"), Describe(resource));
        return await http.CommitCreatedAsync(write, $"{ApiRoutes.Sockets}/{id:D}", resource, ApiJson.Default.SocketResource, version: resource.Version);
    }

    private async Task<IResult> UpdateAsync(HttpContext http, string socket)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.SocketUpdate);
        var errors = new FieldErrors();
        var name = request.Name is null ? null : errors.Name("name", request.Name.ToLowerInvariant());
        errors.Text("display_name", request.DisplayName);
        errors.Text("description", request.Description, 1000);
        CheckTags(http, request.Tags, errors);
        var hostKeys = request.HostKeys is null ? null : CheckHostKeys(request.HostKeys, errors);

        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.Socket, socket, http.RequestAborted);
        var row = (await write.QuerySingleAsync<SocketRow>(SocketRows.Select + " WHERE s.socket_id = @id", new { id }))!;
        http.RequireMatch(row.Version);
        var before = Describe(await SocketRows.ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted));
        var upstream = request.UpstreamConfiguration is null ? null
            : UpstreamValidator.Validate(request.UpstreamConfiguration, row.SocketType, SocketRows.Configuration(row), vault.OpenSocket(id, row.UpstreamSecrets), errors);
        CheckRecording(row.SocketType, request.RecordingEnabled, request.HostKeys, errors);
        var connectors = request.ConnectorIds is null ? null : await ResolveAsync(write, request.ConnectorIds, errors, http.RequestAborted);
        errors.ThrowIfAny();
        if (name is not null && await write.QuerySingleAsync<bool>("SELECT EXISTS (SELECT 1 FROM socket WHERE organization_id = @OrganizationId AND lower(name) = @name AND socket_id <> @id)", new { id, write.OrganizationId, name }))
            throw ApiException.NameTaken("socket", name);

        await write.ExecuteAsync("""
            UPDATE socket SET name = coalesce(@name, name), display_name = coalesce(@DisplayName, display_name), description = coalesce(@Description, description),
              tags = coalesce(@tags::jsonb, tags), recording_enabled = coalesce(@RecordingEnabled, recording_enabled), host_keys = coalesce(@hostKeys, host_keys),
              upstream = coalesce(@upstream::jsonb, upstream), upstream_secrets = CASE WHEN @upstream::jsonb IS NULL THEN upstream_secrets ELSE @secrets END, version = version + 1
            WHERE socket_id = @id
            """, new
        {
            id,
            name,
            request.DisplayName,
            request.Description,
            tags = request.Tags is null ? null : TagsJson(request.Tags),
            request.RecordingEnabled,
            hostKeys,
            upstream = upstream is null ? null : SocketRows.Store(upstream.Value.Configuration),
            secrets = upstream is null ? null : vault.SealSocket(id, upstream.Value.Secrets),
        });
        if (connectors is not null)
            await SetConnectorsAsync(write, id, connectors);
        var resource = await SocketRows.ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted);
        await write.AuditAsync("socket.update", "socket", id.ToString("D"), new JsonObject { ["before"] = before, ["after"] = Describe(resource) });
        await write.CommitAsync();
        return Reply.Ok(resource, ApiJson.Default.SocketResource).WithETag(resource.Version);
    }

    private async Task<IResult> DeleteAsync(HttpContext http, string socket)
    {
        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.Socket, socket, http.RequestAborted);
        var resource = await SocketRows.ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted);
        http.RequireMatch(resource.Version);
        await write.ExecuteAsync("DELETE FROM socket WHERE socket_id = @id", new { id });
        await write.AuditAsync("socket.delete", "socket", id.ToString("D"), Describe(resource));
        await write.CommitAsync();
        return Reply.Written();
    }

    // Tags decide which policies apply, so they are grants: only an administrator gives them (L23).
    private static void CheckTags(HttpContext http, IReadOnlyDictionary<string, string>? tags, FieldErrors errors)
    {
        if (tags is null || tags.Count == 0 && http.Caller().IsAdmin)
            return;
        if (!http.Caller().IsAdmin)
            throw ApiException.Forbidden("tags decide which policies apply to a socket: only an administrator sets them");
        if (tags.Count > 50)
            errors.Add("tags", "must be at most 50");
        foreach (var (key, value) in tags)
        {
            if (key.Length is 0 or > 128 || value.Length > 256 || key.Any(char.IsControl) || value.Any(char.IsControl))
                errors.Add($"tags.{ApiException.Printable(key)}", "must be a key of 1 to 128 and a value of at most 256 characters, without control characters");
        }
    }

    // What would be stored and never looked at is a mistake.
    private static void CheckRecording(string? type, bool? recording, IReadOnlyList<string>? hostKeys, FieldErrors errors)
    {
        if (type is null or "ssh")
            return;
        if (recording is true)
            errors.Add("recording_enabled", $"must be false for {type}: raw bytes are not recorded");
        if (hostKeys is { Count: > 0 })
            errors.Add("host_keys", $"has no meaning for {type}");
    }

    private static string[] CheckHostKeys(IReadOnlyList<string>? lines, FieldErrors errors)
    {
        if (lines?.Count > 20)
            errors.Add("host_keys", "must be at most 20");
        var keys = new List<string>();
        for (var i = 0; i < (lines?.Count ?? 0); i++)
        {
            const string Authority = "@cert-authority ";
            var line = lines![i].Trim();
            var isAuthority = line.StartsWith(Authority, StringComparison.Ordinal);
            var text = isAuthority ? line[Authority.Length..].TrimStart() : line;
            // known_hosts writes a host pattern before the key; here the socket says which host is meant.
            if (isAuthority && text.StartsWith("* ", StringComparison.Ordinal))
                text = text[2..].TrimStart();
            if (SshPublicKey.TryParseLine(text, out var key, out _, out var error))
                keys.Add(isAuthority ? $"{Authority}{key.ToLine()}" : key.ToLine());
            else
                errors.Add($"host_keys[{i}]", error);
        }
        return [.. keys];
    }

    private static async Task<IReadOnlyList<Guid>> ResolveAsync(OrganizationWrite write, IReadOnlyList<string> connectors, FieldErrors errors, CancellationToken cancellationToken)
    {
        if (connectors.Count > 100)
            errors.Add("connector_ids", "must be at most 100");
        var ids = new List<Guid>();
        for (var i = 0; i < Math.Min(connectors.Count, 100); i++)
        {
            if (await Lookups.FindAsync(write.Connection, write.Transaction, Named.Connector, write.OrganizationId, connectors[i], cancellationToken) is { } id)
                ids.Add(id);
            else
                errors.Add($"connector_ids[{i}]", $"there is no connector {ApiException.Printable(connectors[i])}");
        }
        return [.. ids.Distinct()];
    }

    private static async Task SetConnectorsAsync(OrganizationWrite write, Guid socketId, IReadOnlyList<Guid> connectors) =>
        await write.ExecuteAsync("""
            DELETE FROM socket_connector WHERE socket_id = @socketId;
            INSERT INTO socket_connector (socket_id, connector_id) SELECT @socketId, unnest(@ids);
            """, new { socketId, ids = connectors.ToArray() });

    private static string TagsJson(IReadOnlyDictionary<string, string> tags) => new JsonObject(tags.Select(t => KeyValuePair.Create(t.Key, (JsonNode?)t.Value))).ToJsonString();

    private static JsonObject Describe(SocketResource socket) => new()
    {
        ["name"] = socket.Name,
        ["tags"] = JsonSerializer.SerializeToNode(socket.Tags, ApiJson.Default.IReadOnlyDictionaryStringString),
        ["recording_enabled"] = socket.RecordingEnabled,
        ["upstream_configuration"] = JsonSerializer.SerializeToNode(socket.UpstreamConfiguration, ApiJson.Default.UpstreamConfiguration),
        ["connectors"] = new JsonArray([.. socket.Connectors.Select(c => (JsonNode)c.Name)]),
        ["host_keys"] = socket.HostKeys.Count,
    };
}
