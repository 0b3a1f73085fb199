using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Protocol.Ssh;
using Relay.Silo.Api.Http;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>Registered SSH keys: one's own, and those of users for administrators.</summary>
internal sealed class SshKeysApi(NpgsqlDataSource database)
{
    /// <summary>Keys of one user.</summary>
    private const int MaxKeys = 50;

    private const string Select = "SELECT key_id, name, fingerprint, public_key, created_at, last_used_at FROM user_ssh_key";

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/me/ssh_keys", "list_my_ssh_keys", "List my SSH keys", (HttpContext http, SshKeysApi api) => api.ListAsync(http, null)).WithPages().Produces<Page<SshKeyResource>>();
        routes.Map("POST", "/me/ssh_keys", "create_my_ssh_key", "Register an SSH key of mine", (HttpContext http, SshKeysApi api) => api.CreateAsync(http, null))
            .Accepts<SshKeyCreate>("application/json").Produces<SshKeyResource>(201).Produces<ApiError>(409);
        routes.Map("DELETE", "/me/ssh_keys/{key}", "delete_my_ssh_key", "Remove an SSH key of mine, by id or fingerprint", (HttpContext http, string key, SshKeysApi api) => api.DeleteAsync(http, null, key)).Produces<Written>().Produces<ApiError>(404);
        routes.Map("GET", "/users/{user}/ssh_keys", "list_ssh_keys", "List a user's SSH keys", (HttpContext http, string user, SshKeysApi api) => api.ListAsync(http, user)).WithPages().Produces<Page<SshKeyResource>>();
        routes.Map("POST", "/users/{user}/ssh_keys", "create_ssh_key", "Register an SSH key of a user", (HttpContext http, string user, SshKeysApi api) => api.CreateAsync(http, user))
            .Accepts<SshKeyCreate>("application/json").Produces<SshKeyResource>(201).Produces<ApiError>(404).Produces<ApiError>(409);
        routes.Map("DELETE", "/users/{user}/ssh_keys/{key}", "delete_ssh_key", "Remove a user's SSH key, by id or fingerprint", (HttpContext http, string user, string key, SshKeysApi api) => api.DeleteAsync(http, user, key)).Produces<Written>().Produces<ApiError>(404);
    }

    private async Task<IResult> ListAsync(HttpContext http, string? user)
    {
        var query = new ListQuery(http);
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var userId = user is null ? http.Caller().UserId : await connection.FindAsync(Named.User, http, user);
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*) FROM user_ssh_key WHERE user_id = @userId", new { userId }, cancellationToken: http.RequestAborted));
        var rows = await connection.QueryAsync<KeyRow>(new CommandDefinition(Select + " WHERE user_id = @userId ORDER BY created_at, key_id LIMIT @Size OFFSET @Offset", new { userId, query.Size, query.Offset }, cancellationToken: http.RequestAborted));
        return Reply.Ok(query.ToPage<SshKeyResource>([.. rows.Select(Describe)], total), ApiJson.Default.SshKeyPage);
    }

    private async Task<IResult> CreateAsync(HttpContext http, string? user)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.SshKeyCreate);
        var errors = new FieldErrors();
        SshPublicKey? key = null;
        var comment = "";
        if (string.IsNullOrWhiteSpace(request.PublicKey))
            errors.Add("public_key", "is required");
        else if (request.PublicKey.Contains("PRIVATE KEY", StringComparison.Ordinal))
            errors.Add("public_key", "is a private key: keep it to yourself and send the .pub file; consider this key compromised");
        else if (!SshPublicKey.TryParseLine(request.PublicKey.Trim(), out key, out comment, out var problem))
            errors.Add("public_key", problem);
        var name = errors.Text("name", request.Name ?? comment);
        errors.ThrowIfAny();

        await using var write = await http.BeginWriteAsync(database);
        if (await http.ReplayAsync(write) is { } earlier)
            return earlier;
        var userId = user is null ? http.Caller().UserId : await write.FindAsync(Named.User, user, http.RequestAborted);
        if (await write.QuerySingleAsync<long>("SELECT count(*) FROM user_ssh_key WHERE user_id = @userId", new { userId }) >= MaxKeys)
            throw new ApiException(409, ErrorCodes.Conflict, $"a user has at most {MaxKeys} keys");
        var row = new { KeyId = Guid.NewGuid(), userId, key!.Fingerprint, PublicKey = key.ToLine(), name };
        var created = await write.ExecuteAsync("""
            INSERT INTO user_ssh_key (key_id, user_id, fingerprint, public_key, name) VALUES (@KeyId, @userId, @Fingerprint, @PublicKey, @name) ON CONFLICT DO NOTHING
            """, row);
        if (created == 0)
            throw new ApiException(409, ErrorCodes.Conflict, "the key is registered already: one key belongs to one user", [new ApiErrorDetail("public_key", "is registered already")]);
        await write.AuditAsync("ssh_key.create", "user", userId.ToString("D"), new JsonObject { ["fingerprint"] = row.Fingerprint });
        var resource = Describe((await write.QuerySingleAsync<KeyRow>(Select + " WHERE key_id = @KeyId", row))!);
        return await http.CommitCreatedAsync(write, $"{ApiRoutes.MeSshKeys}/{row.KeyId:D}", resource, ApiJson.Default.SshKeyResource);
    }

    private async Task<IResult> DeleteAsync(HttpContext http, string? user, string key)
    {
        // A fingerprint is base64; the one character that paths keep escaped is its slash.
        key = key.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        await using var write = await http.BeginWriteAsync(database);
        var userId = user is null ? http.Caller().UserId : await write.FindAsync(Named.User, user, http.RequestAborted);
        var fingerprint = await write.QuerySingleAsync<string>(
            "DELETE FROM user_ssh_key WHERE user_id = @userId AND (key_id::text = lower(@key) OR fingerprint = @key) RETURNING fingerprint", new { userId, key })
            ?? throw ApiException.NotFound("SSH key", key);
        await write.AuditAsync("ssh_key.delete", "user", userId.ToString("D"), new JsonObject { ["fingerprint"] = fingerprint });
        await write.CommitAsync();
        return Reply.Written();
    }

    private static SshKeyResource Describe(KeyRow row) => new()
    {
        KeyId = row.KeyId,
        Name = row.Name,
        Fingerprint = row.Fingerprint,
        PublicKey = row.PublicKey,
        CreatedAt = row.CreatedAt,
        LastUsedAt = row.LastUsedAt,
    };

    private sealed class KeyRow
    {
        public Guid KeyId { get; init; }

        public string Name { get; init; } = "";

        public string Fingerprint { get; init; } = "";

        public string PublicKey { get; init; } = "";

        public DateTimeOffset CreatedAt { get; init; }

        public DateTimeOffset? LastUsedAt { get; init; }
    }
}
