using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;
using Relay.Silo.Identity;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>users.</summary>
internal sealed class UsersApi(NpgsqlDataSource database, Passwords passwords)
{
    private const string Select = "SELECT u.user_id, u.email, u.display_name, u.role, u.password_hash IS NOT NULL AS has_password, u.created_at FROM app_user u";

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/users", "list_users", "List users", (HttpContext http, UsersApi api) => api.ListAsync(http)).WithPages("email", "role", "group").Produces<Page<UserResource>>();
        routes.Map("POST", "/users", "create_user", "Create a user", (HttpContext http, UsersApi api) => api.CreateAsync(http))
            .Accepts<UserCreate>("application/json").Produces<UserResource>(201).Produces<ApiError>(409);
        routes.Map("GET", "/users/{user}", "get_user", "Show a user, by id or e-mail", (HttpContext http, string user, UsersApi api) => api.GetAsync(http, user)).Produces<UserResource>().Produces<ApiError>(404);
        routes.Map("PATCH", "/users/{user}", "update_user", "Change a user", (HttpContext http, string user, UsersApi api) => api.UpdateAsync(http, user))
            .Accepts<UserUpdate>("application/json").Produces<UserResource>().Produces<ApiError>(404).Produces<ApiError>(409);
        routes.Map("DELETE", "/users/{user}", "delete_user", "Delete a user; ends logins and live sessions", (HttpContext http, string user, UsersApi api) => api.DeleteAsync(http, user)).Produces<Written>().Produces<ApiError>(404);
    }

    private async Task<IResult> ListAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        var filter = new { http.Caller().OrganizationId, Email = query.Text("email"), Role = query.OneOf("role", "admin", "member", "read_only", "client"), Group = query.Text("group"), query.Size, query.Offset };
        const string Where = """
             WHERE u.organization_id = @OrganizationId AND (@Email::text IS NULL OR lower(u.email) = lower(@Email)) AND (@Role::text IS NULL OR u.role = @Role)
               AND (@Group::text IS NULL OR EXISTS (SELECT 1 FROM group_member m JOIN user_group g USING (group_id)
                    WHERE m.user_id = u.user_id AND (lower(g.display_name) = lower(@Group) OR g.group_id::text = lower(@Group))))
            """;
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*) FROM app_user u" + Where, filter, cancellationToken: http.RequestAborted));
        var rows = await connection.QueryAsync<UserRow>(new CommandDefinition(Select + Where + " ORDER BY lower(u.email) LIMIT @Size OFFSET @Offset", filter, cancellationToken: http.RequestAborted));
        return Reply.Ok(query.ToPage(await DescribeAsync(connection, null, http, rows.AsList()), total), ApiJson.Default.UserPage);
    }

    private async Task<IResult> GetAsync(HttpContext http, string user)
    {
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var id = await connection.FindAsync(Named.User, http, user);
        return Reply.Ok(await ReadAsync(connection, null, http, id), ApiJson.Default.UserResource);
    }

    private async Task<IResult> CreateAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.UserCreate);
        var errors = new FieldErrors();
        var email = errors.Email("email", request.Email);
        var name = errors.Text("display_name", request.DisplayName);
        var role = errors.OneOf("role", request.Role, "client", "admin", "member", "read_only", "client");
        errors.Password("password", request.Password);
        errors.ThrowIfAny();

        var hash = request.Password is null ? null : await passwords.HashAsync(request.Password, http.RequestAborted);
        var id = Guid.NewGuid();
        await using var write = await http.BeginWriteAsync(database);
        if (await http.ReplayAsync(write) is { } earlier)
            return earlier;
        var created = await write.ExecuteAsync("""
            INSERT INTO app_user (user_id, organization_id, email, display_name, role, password_hash)
            VALUES (@id, @OrganizationId, @email, @name, @role, @hash) ON CONFLICT DO NOTHING
            """, new { id, write.OrganizationId, email, name, role, hash });
        if (created == 0)
            throw new ApiException(409, ErrorCodes.NameTaken, $"there is already a user {email}", [new ApiErrorDetail("email", "is taken")]);
        await write.AuditAsync("user.create", "user", id.ToString("D"), new JsonObject { ["email"] = email, ["role"] = role });
        var user = await ReadAsync(write.Connection, write.Transaction, http, id);
        return await http.CommitCreatedAsync(write, $"{ApiRoutes.Users}/{id:D}", user, ApiJson.Default.UserResource);
    }

    private async Task<IResult> UpdateAsync(HttpContext http, string user)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.UserUpdate);
        var errors = new FieldErrors();
        if (request.DisplayName is not null)
            errors.Text("display_name", request.DisplayName);
        if (request.Role is not null)
            errors.OneOf("role", request.Role, null, "admin", "member", "read_only", "client");
        errors.Password("password", request.Password);
        errors.ThrowIfAny();

        var hash = request.Password is null ? null : await passwords.HashAsync(request.Password, http.RequestAborted);
        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.User, user, http.RequestAborted);
        var before = await ReadAsync(write.Connection, write.Transaction, http, id);
        if (id == http.Caller().UserId)
        {
            // Nobody edits their own grant (L23); and a stolen token must not be enough to take the account.
            if (request.Role is not null && request.Role != before.Role)
                throw ApiException.Forbidden("nobody changes their own role: ask another administrator");
            if (request.Password is not null)
                throw ApiException.Forbidden("change your own password with PUT /api/v1/me/password, which asks for the present one");
        }
        await write.ExecuteAsync("""
            UPDATE app_user SET display_name = coalesce(@DisplayName, display_name), role = coalesce(@Role, role), password_hash = coalesce(@hash, password_hash)
            WHERE user_id = @id
            """, new { id, request.DisplayName, request.Role, hash });
        if (hash is not null)
            await write.ExecuteAsync("UPDATE login_session SET revoked_at = now() WHERE user_id = @id AND revoked_at IS NULL", new { id });
        var after = await ReadAsync(write.Connection, write.Transaction, http, id);
        var detail = new JsonObject { ["email"] = after.Email };
        if (after.Role != before.Role)
            detail["role"] = new JsonObject { ["before"] = before.Role, ["after"] = after.Role };
        if (after.DisplayName != before.DisplayName)
            detail["display_name"] = new JsonObject { ["before"] = before.DisplayName, ["after"] = after.DisplayName };
        if (hash is not null)
            detail["password"] = "set";
        await write.AuditAsync("user.update", "user", id.ToString("D"), detail);
        await write.CommitAsync();
        return Reply.Ok(after, ApiJson.Default.UserResource);
    }

    private async Task<IResult> DeleteAsync(HttpContext http, string user)
    {
        await using var write = await http.BeginWriteAsync(database);
        var id = await write.FindAsync(Named.User, user, http.RequestAborted);
        // So one administrator always remains: whoever deletes.
        if (id == http.Caller().UserId)
            throw ApiException.Forbidden("nobody deletes themselves: ask another administrator");
        var email = await write.QuerySingleAsync<string>("DELETE FROM app_user WHERE user_id = @id RETURNING email", new { id });
        await write.AuditAsync("user.delete", "user", id.ToString("D"), new JsonObject { ["email"] = email });
        await write.CommitAsync();
        return Reply.Written();
    }

    private static async Task<UserResource> ReadAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, HttpContext http, Guid id)
    {
        var row = await connection.QuerySingleAsync<UserRow>(new CommandDefinition(Select + " WHERE u.user_id = @id", new { id }, transaction, cancellationToken: http.RequestAborted));
        return (await DescribeAsync(connection, transaction, http, [row]))[0];
    }

    private static async Task<IReadOnlyList<UserResource>> DescribeAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, HttpContext http, IReadOnlyList<UserRow> rows)
    {
        var groups = (await connection.QueryAsync<(Guid UserId, Guid GroupId, string Name)>(new CommandDefinition(
            "SELECT m.user_id, g.group_id, g.display_name FROM group_member m JOIN user_group g USING (group_id) WHERE m.user_id = ANY(@ids) ORDER BY lower(g.display_name)",
            new { ids = rows.Select(r => r.UserId).ToArray() }, transaction, cancellationToken: http.RequestAborted))).ToLookup(g => g.UserId, g => new NamedRef(g.GroupId, g.Name));
        var organization = http.Caller().OrganizationName;
        var blocked = await LoginThrottle.BlockedAsync(connection, [.. rows.Select(r => LoginThrottle.Account(organization, r.Email))], http.RequestAborted);
        return [.. rows.Select(r => new UserResource
        {
            UserId = r.UserId,
            Email = r.Email,
            DisplayName = r.DisplayName,
            Role = r.Role,
            Password = new SecretState(r.HasPassword),
            LockedUntil = blocked.TryGetValue(LoginThrottle.Account(organization, r.Email), out var until) ? until : null,
            Groups = [.. groups[r.UserId]],
            CreatedAt = r.CreatedAt,
        })];
    }

    private sealed class UserRow
    {
        public Guid UserId { get; init; }

        public string Email { get; init; } = "";

        public string DisplayName { get; init; } = "";

        public string Role { get; init; } = "";

        public bool HasPassword { get; init; }

        public DateTimeOffset CreatedAt { get; init; }
    }
}
