using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>groups and their members.</summary>
internal sealed class GroupsApi(NpgsqlDataSource database)
{
    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/groups", "list_groups", "List groups", (HttpContext http, GroupsApi api) => api.ListAsync(http)).WithPages("display_name").Produces<Page<GroupResource>>();
        routes.Map("POST", "/groups", "create_group", "Create a group", (HttpContext http, GroupsApi api) => api.CreateAsync(http))
            .Accepts<GroupWrite>("application/json").Produces<GroupResource>(201).Produces<ApiError>(409);
        routes.Map("GET", "/groups/{group}", "get_group", "Show a group, by id or name", (HttpContext http, string group, GroupsApi api) => api.GetAsync(http, group)).Produces<GroupResource>().Produces<ApiError>(404);
        routes.Map("PATCH", "/groups/{group}", "update_group", "Change a group", (HttpContext http, string group, GroupsApi api) => api.UpdateAsync(http, group))
            .Accepts<GroupWrite>("application/json").Produces<GroupResource>().Produces<ApiError>(404).Produces<ApiError>(409);
        routes.Map("DELETE", "/groups/{group}", "delete_group", "Delete a group", (HttpContext http, string group, GroupsApi api) => api.DeleteAsync(http, group)).Produces<Written>().Produces<ApiError>(404);
        routes.Map("PUT", "/groups/{group}/members/{user}", "add_group_member", "Add a user to a group", (HttpContext http, string group, string user, GroupsApi api) => api.SetMemberAsync(http, group, user, member: true)).Produces<GroupResource>().Produces<ApiError>(404);
        routes.Map("DELETE", "/groups/{group}/members/{user}", "remove_group_member", "Remove a user from a group", (HttpContext http, string group, string user, GroupsApi api) => api.SetMemberAsync(http, group, user, member: false)).Produces<GroupResource>().Produces<ApiError>(404);
    }

    private async Task<IResult> ListAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        var filter = new { http.Caller().OrganizationId, Name = query.Text("display_name"), query.Size, query.Offset };
        const string Where = " FROM user_group WHERE organization_id = @OrganizationId AND (@Name::text IS NULL OR lower(display_name) = lower(@Name))";
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*)" + Where, filter, cancellationToken: http.RequestAborted));
        var ids = await connection.QueryAsync<Guid>(new CommandDefinition("SELECT group_id" + Where + " ORDER BY lower(display_name) LIMIT @Size OFFSET @Offset", filter, cancellationToken: http.RequestAborted));
        return Reply.Ok(query.ToPage(await DescribeAsync(connection, null, ids.ToArray(), http.RequestAborted), total), ApiJson.Default.GroupPage);
    }

    private async Task<IResult> GetAsync(HttpContext http, string group)
    {
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var id = await connection.FindAsync(Named.Group, http, group);
        return Reply.Ok((await DescribeAsync(connection, null, [id], http.RequestAborted))[0], ApiJson.Default.GroupResource);
    }

    private async Task<IResult> CreateAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.GroupWrite);
        var name = Validate(request, nameRequired: true);
        var id = Guid.NewGuid();
        await using var write = await http.BeginWriteAsync(database);
        if (await http.ReplayAsync(write) is { } earlier)
            return earlier;
        if (await write.ExecuteAsync("INSERT INTO user_group (group_id, organization_id, display_name) VALUES (@id, @OrganizationId, @name) ON CONFLICT DO NOTHING", new { id, write.OrganizationId, name }) == 0)
            throw NameTaken(name!);
        await ReplaceMembersAsync(write, id, request.Members ?? [], http.RequestAborted);
        return await FinishAsync(write, "group.create", id, http, created: true);
    }

    private async Task<IResult> UpdateAsync(HttpContext http, string group)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.GroupWrite);
        var name = Validate(request, nameRequired: false);
        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.Group, group, http.RequestAborted);
        if (name is not null)
        {
            if (await write.QuerySingleAsync<bool>("SELECT EXISTS (SELECT 1 FROM user_group WHERE organization_id = @OrganizationId AND lower(display_name) = lower(@name) AND group_id <> @id)", new { id, write.OrganizationId, name }))
                throw NameTaken(name);
            await write.ExecuteAsync("UPDATE user_group SET display_name = @name WHERE group_id = @id", new { id, name });
        }
        if (request.Members is not null)
            await ReplaceMembersAsync(write, id, request.Members, http.RequestAborted);
        return await FinishAsync(write, "group.update", id, http, created: false);
    }

    private async Task<IResult> DeleteAsync(HttpContext http, string group)
    {
        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.Group, group, http.RequestAborted);
        var name = await write.QuerySingleAsync<string>("DELETE FROM user_group WHERE group_id = @id RETURNING display_name", new { id });
        await write.AuditAsync("group.delete", "group", id.ToString("D"), new JsonObject { ["display_name"] = name });
        await write.CommitAsync();
        return Reply.Written();
    }

    private async Task<IResult> SetMemberAsync(HttpContext http, string group, string user, bool member)
    {
        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.Group, group, http.RequestAborted);
        var userId = await write.FindAsync(Named.User, user, http.RequestAborted);
        await write.ExecuteAsync(
            member ? "INSERT INTO group_member (group_id, user_id) VALUES (@id, @userId) ON CONFLICT DO NOTHING" : "DELETE FROM group_member WHERE group_id = @id AND user_id = @userId",
            new { id, userId });
        return await FinishAsync(write, member ? "group.member_add" : "group.member_remove", id, http, created: false, userId);
    }

    private static async Task<IResult> FinishAsync(OrganizationWrite write, string action, Guid id, HttpContext http, bool created, Guid? userId = null)
    {
        var resource = (await DescribeAsync(write.Connection, write.Transaction, [id], http.RequestAborted))[0];
        var detail = new JsonObject { ["display_name"] = resource.DisplayName };
        if (userId is { } member)
            detail["user_id"] = member.ToString("D");
        else
            detail["members"] = new JsonArray([.. resource.Members.Select(m => (JsonNode)m.Name)]);
        await write.AuditAsync(action, "group", id.ToString("D"), detail);
        if (created)
            return await http.CommitCreatedAsync(write, $"{ApiRoutes.Groups}/{id:D}", resource, ApiJson.Default.GroupResource);
        await write.CommitAsync();
        return Reply.Ok(resource, ApiJson.Default.GroupResource);
    }

    private static string? Validate(GroupWrite request, bool nameRequired)
    {
        var errors = new FieldErrors();
        if (string.IsNullOrWhiteSpace(request.DisplayName) && (nameRequired || request.DisplayName is not null))
            errors.Add("display_name", "is required");
        var name = errors.Text("display_name", request.DisplayName, 128);
        // A policy names a group by either; one that looks like another's id could take its place.
        if (Guid.TryParse(name, out _))
            errors.Add("display_name", "must not look like an id");
        if (request.Members?.Count > 1000)
            errors.Add("members", "must be at most 1000");
        errors.ThrowIfAny();
        return request.DisplayName?.Trim();
    }

    private static async Task ReplaceMembersAsync(OrganizationWrite write, Guid groupId, IReadOnlyList<string> members, CancellationToken cancellationToken)
    {
        var errors = new FieldErrors();
        var ids = new HashSet<Guid>();
        for (var i = 0; i < members.Count; i++)
        {
            if (await Lookups.FindAsync(write.Connection, write.Transaction, Named.User, write.OrganizationId, members[i], cancellationToken) is { } id)
                ids.Add(id);
            else
                errors.Add($"members[{i}]", $"there is no user {ApiException.Printable(members[i])}");
        }
        errors.ThrowIfAny();
        await write.ExecuteAsync("""
            DELETE FROM group_member WHERE group_id = @groupId;
            INSERT INTO group_member (group_id, user_id) SELECT @groupId, unnest(@ids);
            """, new { groupId, ids = ids.ToArray() });
    }

    private static async Task<IReadOnlyList<GroupResource>> DescribeAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, Guid[] ids, CancellationToken cancellationToken)
    {
        var names = await connection.QueryAsync<(Guid Id, string Name)>(new CommandDefinition("SELECT group_id, display_name FROM user_group WHERE group_id = ANY(@ids) ORDER BY lower(display_name)", new { ids }, transaction, cancellationToken: cancellationToken));
        var members = (await connection.QueryAsync<(Guid GroupId, Guid UserId, string Email)>(new CommandDefinition(
            "SELECT m.group_id, u.user_id, u.email FROM group_member m JOIN app_user u USING (user_id) WHERE m.group_id = ANY(@ids) ORDER BY lower(u.email)",
            new { ids }, transaction, cancellationToken: cancellationToken))).ToLookup(m => m.GroupId, m => new NamedRef(m.UserId, m.Email));
        return [.. names.Select(n => new GroupResource { GroupId = n.Id, DisplayName = n.Name, Members = [.. members[n.Id]] })];
    }

    private static ApiException NameTaken(string name) =>
        new(409, ErrorCodes.NameTaken, $"there is already a group named {ApiException.Printable(name)}", [new ApiErrorDetail("display_name", "is taken")]);
}
