using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Authorities;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>connector_tokens and gateway_tokens. A token is in the answer that makes it, and nowhere else.</summary>
internal sealed class TokensApi(NpgsqlDataSource database, IAuthorities authorities, SiloDirectory silos, TimeProvider time)
{
    private const string SelectConnector = """
        SELECT t.token_id, t.name, t.connector_id, c.name AS connector_name, t.created_by, t.created_at, t.expires_at, t.last_used_at, t.revoked_at
        FROM connector_token t JOIN connector c USING (connector_id)
        """;

    private const string SelectGateway = "SELECT token_id, name, created_at, expires_at, revoked_at FROM gateway_token";

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/connectors/{connector}/tokens", "list_tokens_of_connector", "List a connector's tokens", (HttpContext http, string connector, TokensApi api) => api.ListAsync(http, connector)).WithPages("status").Produces<Page<ConnectorTokenResource>>().Produces<ApiError>(404);
        routes.Map("POST", "/connectors/{connector}/tokens", "create_connector_token", "Create a token; it is shown once", (HttpContext http, string connector, TokensApi api) => api.CreateAsync(http, connector))
            .Accepts<TokenCreate>("application/json").Produces<ConnectorTokenResource>(201).Produces<ApiError>(404);
        routes.Map("GET", "/connector_tokens", "list_connector_tokens", "List all connectors' tokens", (HttpContext http, TokensApi api) => api.ListAsync(http, null)).WithPages("connector", "status").Produces<Page<ConnectorTokenResource>>();
        routes.Map("DELETE", "/connector_tokens/{token}", "revoke_connector_token", "Revoke a connector token", (HttpContext http, string token, TokensApi api) => api.RevokeAsync(http, token)).Produces<ConnectorTokenResource>().Produces<ApiError>(404);
        routes.Map("GET", "/gateway_tokens", "list_gateway_tokens", "List gateway tokens", (HttpContext http, TokensApi api) => api.ListGatewayAsync(http)).WithPages().Produces<Page<GatewayTokenResource>>();
        routes.Map("POST", "/gateway_tokens", "create_gateway_token", "Create a token for a gateway; it is shown once", (HttpContext http, TokensApi api) => api.CreateGatewayAsync(http))
            .Accepts<TokenCreate>("application/json").Produces<GatewayTokenResource>(201);
        routes.Map("DELETE", "/gateway_tokens/{token}", "revoke_gateway_token", "Revoke a gateway token", (HttpContext http, string token, TokensApi api) => api.RevokeGatewayAsync(http, token)).Produces<GatewayTokenResource>().Produces<ApiError>(404);
    }

    private async Task<IResult> ListAsync(HttpContext http, string? connector)
    {
        var query = new ListQuery(http);
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        connector ??= query.Text("connector");
        Guid? connectorId = connector is null ? null : await connection.FindAsync(Named.Connector, http, connector);
        var filter = new { http.Caller().OrganizationId, ConnectorId = connectorId, Status = query.OneOf("status", "active", "expired", "revoked"), query.Size, query.Offset };
        const string Where = """
             WHERE c.organization_id = @OrganizationId AND (@ConnectorId::uuid IS NULL OR t.connector_id = @ConnectorId)
               AND (@Status::text IS NULL OR @Status = CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked' WHEN t.expires_at <= now() THEN 'expired' ELSE 'active' END)
            """;
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*) FROM connector_token t JOIN connector c USING (connector_id)" + Where, filter, cancellationToken: http.RequestAborted));
        var rows = await connection.QueryAsync<TokenRow>(new CommandDefinition(SelectConnector + Where + " ORDER BY t.created_at, t.token_id LIMIT @Size OFFSET @Offset", filter, cancellationToken: http.RequestAborted));
        return Reply.Ok(query.ToPage<ConnectorTokenResource>([.. rows.Select(Describe)], total), ApiJson.Default.ConnectorTokenPage);
    }

    private async Task<IResult> CreateAsync(HttpContext http, string connector)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.TokenCreate, optional: true);
        var (name, expires) = Validate(request);
        var addresses = await silos.ConnectorAddressesAsync(http.RequestAborted);
        var id = Guid.NewGuid();
        await using var write = await http.BeginWriteAsync(database);
        if (await http.ReplayAsync(write) is { } earlier)
            return earlier;
        var connectorId = await write.FindAsync(Named.Connector, connector, http.RequestAborted);
        await write.ExecuteAsync("INSERT INTO connector_token (token_id, connector_id, name, created_by, expires_at) VALUES (@id, @connectorId, @name, @Email, @expires)", new { id, connectorId, name, http.Caller().Email, expires });
        await write.AuditAsync("connector_token.create", "connector", connectorId.ToString("D"), new JsonObject { ["token_id"] = id.ToString("D"), ["expires_at"] = expires?.ToString("O") });
        var resource = Describe((await write.QuerySingleAsync<TokenRow>(SelectConnector + " WHERE t.token_id = @id", new { id }))!);
        // A version of its own: whatever silo sees it and does not know the token knows that it was deleted.
        return await http.CommitCreatedAsync(write, $"{ApiRoutes.ConnectorTokens}/{id:D}", resource with { Token = authorities.MintConnectorToken(write.OrganizationId, connectorId, id, addresses, expires) }, ApiJson.Default.ConnectorTokenResource);
    }

    private async Task<IResult> RevokeAsync(HttpContext http, string token)
    {
        var id = ParseId(token, "connector token");
        await using var write = await http.BeginWriteAsync(database);
        var found = await write.ExecuteAsync("""
            UPDATE connector_token t SET revoked_at = coalesce(t.revoked_at, now()) FROM connector c
            WHERE c.connector_id = t.connector_id AND c.organization_id = @OrganizationId AND t.token_id = @id
            """, new { write.OrganizationId, id });
        if (found == 0)
            throw ApiException.NotFound("connector token", token);
        var resource = Describe((await write.QuerySingleAsync<TokenRow>(SelectConnector + " WHERE t.token_id = @id", new { id }))!);
        await write.AuditAsync("connector_token.revoke", "connector", resource.ConnectorId.ToString("D"), new JsonObject { ["token_id"] = id.ToString("D") });
        // The silos that hear it close the tunnels that were opened with it.
        await write.CommitAsync();
        return Reply.Ok(resource, ApiJson.Default.ConnectorTokenResource);
    }

    private async Task<IResult> ListGatewayAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*) FROM gateway_token", cancellationToken: http.RequestAborted));
        var rows = await connection.QueryAsync<TokenRow>(new CommandDefinition(SelectGateway + " ORDER BY created_at, token_id LIMIT @Size OFFSET @Offset", new { query.Size, query.Offset }, cancellationToken: http.RequestAborted));
        return Reply.Ok(query.ToPage<GatewayTokenResource>([.. rows.Select(DescribeGateway)], total), ApiJson.Default.GatewayTokenPage);
    }

    private async Task<IResult> CreateGatewayAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.TokenCreate, optional: true);
        var (name, expires) = Validate(request);
        var addresses = await silos.GridAddressesAsync(http.RequestAborted);
        var id = Guid.NewGuid();
        await using var write = await http.BeginWriteAsync(database);
        if (await http.ReplayAsync(write) is { } earlier)
            return earlier;
        await write.ExecuteAsync("INSERT INTO gateway_token (token_id, name, expires_at) VALUES (@id, @name, @expires)", new { id, name, expires });
        await write.AuditAsync("gateway_token.create", "gateway_token", id.ToString("D"), new JsonObject { ["name"] = name });
        var resource = DescribeGateway((await write.QuerySingleAsync<TokenRow>(SelectGateway + " WHERE token_id = @id", new { id }))!);
        return await http.CommitCreatedAsync(write, $"{ApiRoutes.GatewayTokens}/{id:D}", resource with { Token = authorities.MintGatewayToken(id, addresses, expires) }, ApiJson.Default.GatewayTokenResource, bump: false);
    }

    private async Task<IResult> RevokeGatewayAsync(HttpContext http, string token)
    {
        var id = ParseId(token, "gateway token");
        await using var write = await http.BeginWriteAsync(database);
        if (await write.ExecuteAsync("UPDATE gateway_token SET revoked_at = coalesce(revoked_at, now()) WHERE token_id = @id", new { id }) == 0)
            throw ApiException.NotFound("gateway token", token);
        await write.AuditAsync("gateway_token.revoke", "gateway_token", id.ToString("D"));
        var resource = DescribeGateway((await write.QuerySingleAsync<TokenRow>(SelectGateway + " WHERE token_id = @id", new { id }))!);
        await write.CommitAsync();
        return Reply.Ok(resource, ApiJson.Default.GatewayTokenResource);
    }

    private (string Name, DateTimeOffset? Expires) Validate(TokenCreate request)
    {
        var now = time.GetUtcNow();
        var errors = new FieldErrors();
        var name = errors.Text("name", request.Name, 128);
        if (request is { ExpiresAt: not null, ExpiresInDays: > 0 })
            errors.Add("expires_in_days", "is given together with expires_at");
        if (request.ExpiresAt <= now)
            errors.Add("expires_at", "is in the past");
        if (request.ExpiresInDays is < 0 or > 3650)
            errors.Add("expires_in_days", "must be 0 (never) to 3650");
        errors.ThrowIfAny();
        var expires = request.ExpiresAt ?? (request.ExpiresInDays > 0 ? now.AddDays(request.ExpiresInDays.Value) : null);
        // JWT dates are whole seconds; the row says the same.
        return (name, expires is { } end ? DateTimeOffset.FromUnixTimeSeconds(end.ToUnixTimeSeconds()) : null);
    }

    private static Guid ParseId(string text, string what) => Guid.TryParse(text, out var id) ? id : throw ApiException.NotFound(what, text);

    private ConnectorTokenResource Describe(TokenRow row) => new()
    {
        Id = row.TokenId,
        Name = row.Name,
        ConnectorId = row.ConnectorId,
        ConnectorName = row.ConnectorName,
        CreatedBy = row.CreatedBy,
        CreatedAt = row.CreatedAt,
        ExpiresAt = row.ExpiresAt,
        LastUsedAt = row.LastUsedAt,
        RevokedAt = row.RevokedAt,
        Status = Status(row),
    };

    private GatewayTokenResource DescribeGateway(TokenRow row) => new()
    {
        Id = row.TokenId,
        Name = row.Name,
        CreatedAt = row.CreatedAt,
        ExpiresAt = row.ExpiresAt,
        RevokedAt = row.RevokedAt,
        Status = Status(row),
    };

    private string Status(TokenRow row) => row.RevokedAt is not null ? "revoked" : row.ExpiresAt <= time.GetUtcNow() ? "expired" : "active";

    private sealed class TokenRow
    {
        public Guid TokenId { get; init; }

        public string Name { get; init; } = "";

        public Guid ConnectorId { get; init; }

        public string ConnectorName { get; init; } = "";

        public string CreatedBy { get; init; } = "";

        public DateTimeOffset CreatedAt { get; init; }

        public DateTimeOffset? ExpiresAt { get; init; }

        public DateTimeOffset? LastUsedAt { get; init; }

        public DateTimeOffset? RevokedAt { get; init; }
    }
}
