using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Policy;
using Relay.Silo.Api.Http;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>policies.</summary>
internal sealed class PoliciesApi(NpgsqlDataSource database)
{
    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/policies", "list_policies", "List policies", (HttpContext http, PoliciesApi api) => api.ListAsync(http)).WithPages("name", "org_wide", "socket").Produces<Page<PolicyResource>>();
        routes.Map("POST", "/policies", "create_policy", "Create a policy", (HttpContext http, PoliciesApi api) => api.CreateAsync(http))
            .Accepts<PolicyWrite>("application/json").Produces<PolicyResource>(201).Produces<ApiError>(409);
        routes.Map("GET", "/policies/{policy}", "get_policy", "Show a policy, by id or name", (HttpContext http, string policy, PoliciesApi api) => api.GetAsync(http, policy)).Produces<PolicyResource>().Produces<ApiError>(404);
        routes.Map("PATCH", "/policies/{policy}", "update_policy", "Change a policy (If-Match)", (HttpContext http, string policy, PoliciesApi api) => api.UpdateAsync(http, policy))
            .Accepts<PolicyWrite>("application/json").Produces<PolicyResource>().Produces<ApiError>(404).Produces<ApiError>(409).Produces<ApiError>(412);
        routes.Map("DELETE", "/policies/{policy}", "delete_policy", "Delete a policy; ends the live sessions only it admitted (If-Match)", (HttpContext http, string policy, PoliciesApi api) => api.DeleteAsync(http, policy)).Produces<Written>().Produces<ApiError>(404).Produces<ApiError>(412);
    }

    private async Task<IResult> ListAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        Guid? socketId = query.Text("socket") is { } socket ? await connection.FindAsync(Named.Socket, http, socket) : null;
        var filter = new { http.Caller().OrganizationId, Name = query.Text("name"), OrgWide = query.Flag("org_wide"), SocketId = socketId, query.Size, query.Offset };
        const string Where = """
             WHERE p.organization_id = @OrganizationId AND (@Name::text IS NULL OR p.name = lower(@Name)) AND (@OrgWide::boolean IS NULL OR p.org_wide = @OrgWide)
               AND (@SocketId::uuid IS NULL OR EXISTS (SELECT 1 FROM policy_socket x WHERE x.policy_id = p.policy_id AND x.socket_id = @SocketId))
            """;
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*) FROM policy p" + Where, filter, cancellationToken: http.RequestAborted));
        var rows = await connection.QueryAsync<PolicyRow>(new CommandDefinition(PolicyRows.Select + Where + " ORDER BY p.name LIMIT @Size OFFSET @Offset", filter, cancellationToken: http.RequestAborted));
        return Reply.Ok(query.ToPage(await PolicyRows.DescribeAsync(connection, null, rows.AsList(), http.RequestAborted), total), ApiJson.Default.PolicyPage);
    }

    private async Task<IResult> GetAsync(HttpContext http, string policy)
    {
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var id = await connection.FindAsync(Named.Policy, http, policy);
        var resource = await PolicyRows.ReadAsync(connection, null, id, http.RequestAborted);
        return Reply.Ok(resource, ApiJson.Default.PolicyResource).WithETag(resource.Revision);
    }

    private async Task<IResult> CreateAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.PolicyWrite);
        var errors = new FieldErrors();
        var name = errors.Name("name", request.Name, lowercase: true);
        var description = errors.Text("description", request.Description, 1000);
        if (request.PolicyData is null)
            errors.Add("policy_data", "is required");
        var version = CheckDocument(request.PolicyData, errors);
        CheckTagRules(request.TagRules, errors);
        var expires = Expires(request.Expires, errors);

        await using var write = await http.BeginWriteAsync(database);
        if (await http.ReplayAsync(write) is { } earlier)
            return earlier;
        var sockets = await ResolveAsync(write, request.SocketIds ?? [], errors, http.RequestAborted);
        errors.ThrowIfAny();
        var id = Guid.NewGuid();
        var created = await write.ExecuteAsync("""
            INSERT INTO policy (policy_id, organization_id, name, description, org_wide, schema_version, policy_data, tag_rules, expires_at)
            VALUES (@id, @OrganizationId, @name, @description, @orgWide, @version, @data::jsonb, @rules::jsonb, @expires) ON CONFLICT DO NOTHING
            """, new { id, write.OrganizationId, name, description, orgWide = request.OrgWide ?? false, version, data = request.PolicyData!.Value.GetRawText(), rules = RulesJson(request.TagRules ?? []), expires });
        if (created == 0)
            throw ApiException.NameTaken("policy", name);
        await SetSocketsAsync(write, id, sockets);
        var resource = await PolicyRows.ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted);
        await write.AuditAsync("policy.create", "policy", id.ToString("D"), Describe(resource));
        return await http.CommitCreatedAsync(write, $"{ApiRoutes.Policies}/{id:D}", resource, ApiJson.Default.PolicyResource, version: resource.Revision);
    }

    private async Task<IResult> UpdateAsync(HttpContext http, string policy)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.PolicyWrite);
        var errors = new FieldErrors();
        if (request.Name is not null)
            errors.Name("name", request.Name, lowercase: true);
        errors.Text("description", request.Description, 1000);
        var version = CheckDocument(request.PolicyData, errors);
        CheckTagRules(request.TagRules, errors);
        var expires = Expires(request.Expires, errors);

        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.Policy, policy, http.RequestAborted);
        var before = await PolicyRows.ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted);
        http.RequireMatch(before.Revision);
        var sockets = request.SocketIds is null ? null : await ResolveAsync(write, request.SocketIds, errors, http.RequestAborted);
        errors.ThrowIfAny();
        if (request.Name is not null && await write.QuerySingleAsync<bool>("SELECT EXISTS (SELECT 1 FROM policy WHERE organization_id = @OrganizationId AND name = @Name AND policy_id <> @id)", new { id, write.OrganizationId, request.Name }))
            throw ApiException.NameTaken("policy", request.Name);
        await write.ExecuteAsync("""
            UPDATE policy SET name = coalesce(@Name, name), description = coalesce(@Description, description), org_wide = coalesce(@OrgWide, org_wide),
              schema_version = coalesce(@version, schema_version), policy_data = coalesce(@data::jsonb, policy_data), tag_rules = coalesce(@rules::jsonb, tag_rules),
              expires_at = CASE WHEN @changesExpiry THEN @expires ELSE expires_at END,
              version = version + 1, updated_at = now()
            WHERE policy_id = @id
            """, new { id, request.Name, request.Description, request.OrgWide, version, data = request.PolicyData?.GetRawText(), rules = request.TagRules is null ? null : RulesJson(request.TagRules), changesExpiry = request.Expires is not null, expires });
        if (sockets is not null)
            await SetSocketsAsync(write, id, sockets);
        var resource = await PolicyRows.ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted);
        await write.AuditAsync("policy.update", "policy", id.ToString("D"), new JsonObject { ["before"] = Describe(before), ["after"] = Describe(resource) });
        await write.CommitAsync();
        return Reply.Ok(resource, ApiJson.Default.PolicyResource).WithETag(resource.Revision);
    }

    private async Task<IResult> DeleteAsync(HttpContext http, string policy)
    {
        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.Policy, policy, http.RequestAborted);
        var resource = await PolicyRows.ReadAsync(write.Connection, write.Transaction, id, http.RequestAborted);
        http.RequireMatch(resource.Revision);
        await write.ExecuteAsync("DELETE FROM policy WHERE policy_id = @id", new { id });
        await write.AuditAsync("policy.delete", "policy", id.ToString("D"), Describe(resource));
        await write.CommitAsync();
        return Reply.Written();
    }

    // Every mistake of the document at once, each with its path below policy_data.
    private static string? CheckDocument(JsonElement? data, FieldErrors errors)
    {
        if (data is null)
            return null;
        if (PolicyDocument.TryParse(Encoding.UTF8.GetBytes(data.Value.GetRawText()), out var document, out var mistakes))
            return document.Version == PolicySchemaVersion.V1 ? "v1" : "v2";
        foreach (var mistake in mistakes)
            errors.Add("policy_data" + mistake.Path.TrimStart('$'), mistake.Message);
        return null;
    }

    // Null: never.
    private static DateTimeOffset? Expires(string? text, FieldErrors errors)
    {
        if (text is null or "never")
            return null;
        if (DateTimeOffset.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, System.Globalization.DateTimeStyles.AssumeUniversal | System.Globalization.DateTimeStyles.AdjustToUniversal, out var time) && text.Contains('T', StringComparison.Ordinal))
            return time;
        errors.Add("expires", "must be a time, as 2027-01-31T18:00:00Z, or never");
        return null;
    }

    private static void CheckTagRules(IReadOnlyList<IReadOnlyDictionary<string, string>>? rules, FieldErrors errors)
    {
        if (rules?.Count > 50)
            errors.Add("tag_rules", "must be at most 50");
        for (var i = 0; i < (rules?.Count ?? 0); i++)
        {
            if (rules![i].Count is 0 or > 50)
                errors.Add($"tag_rules[{i}]", "must have 1 to 50 tags: an empty rule would match every socket, for which there is org_wide");
        }
    }

    private static async Task<IReadOnlyList<Guid>> ResolveAsync(OrganizationWrite write, IReadOnlyList<string> sockets, FieldErrors errors, CancellationToken cancellationToken)
    {
        if (sockets.Count > 1000)
            errors.Add("socket_ids", "must be at most 1000");
        var ids = new List<Guid>();
        for (var i = 0; i < Math.Min(sockets.Count, 1000); i++)
        {
            if (await Lookups.FindAsync(write.Connection, write.Transaction, Named.Socket, write.OrganizationId, sockets[i], cancellationToken) is { } id)
                ids.Add(id);
            else
                errors.Add($"socket_ids[{i}]", $"there is no socket {ApiException.Printable(sockets[i])}");
        }
        return [.. ids.Distinct()];
    }

    private static async Task SetSocketsAsync(OrganizationWrite write, Guid policyId, IReadOnlyList<Guid> sockets) =>
        await write.ExecuteAsync("""
            DELETE FROM policy_socket WHERE policy_id = @policyId;
            INSERT INTO policy_socket (policy_id, socket_id) SELECT @policyId, unnest(@ids);
            """, new { policyId, ids = sockets.ToArray() });

    private static string RulesJson(IReadOnlyList<IReadOnlyDictionary<string, string>> rules) =>
        new JsonArray([.. rules.Select(r => (JsonNode)new JsonObject(r.Select(t => KeyValuePair.Create(t.Key, (JsonNode?)t.Value))))]).ToJsonString();

    private static JsonObject Describe(PolicyResource policy) => new()
    {
        ["name"] = policy.Name,
        ["org_wide"] = policy.OrgWide,
        ["expires"] = policy.Expires?.ToString("O", System.Globalization.CultureInfo.InvariantCulture),
        ["policy_data"] = JsonNode.Parse(policy.PolicyData.GetRawText()),
        ["tag_rules"] = JsonNode.Parse(RulesJson(policy.TagRules)),
        ["sockets"] = new JsonArray([.. policy.Sockets.Select(s => (JsonNode)s.Name)]),
    };
}
