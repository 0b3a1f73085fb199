using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Protocol.WireGuard;
using Relay.Silo.Api.Http;
using Relay.Silo.Authorities;
using Relay.Silo.Devices;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>WireGuard devices: one's own, by id or name; everybody's, by id, for those who may see or revoke them.</summary>
internal sealed class DevicesApi(NpgsqlDataSource database, IAuthorities authorities, SecretVault vault, SiloDirectory directory, DeviceNetwork network)
{
    /// <summary>Devices of one user.</summary>
    private const int MaxDevices = 25;

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/devices", "list_devices", "List my WireGuard devices; for administrators and readers also another user's, or all (user=*)", (HttpContext http, DevicesApi api) => api.ListAsync(http)).WithPages("user").Produces<Page<DeviceResource>>();
        routes.Map("POST", "/devices", "create_device", "Add a WireGuard device of mine", (HttpContext http, DevicesApi api) => api.CreateAsync(http))
            .Accepts<DeviceCreate>("application/json").Produces<DeviceResource>(201).Produces<ApiError>(409);
        routes.Map("GET", "/devices/{device}", "get_device", "Show a device, with what its configuration file says", (HttpContext http, string device, DevicesApi api) => api.GetAsync(http, device)).Produces<DeviceResource>().Produces<ApiError>(404);
        routes.Map("PATCH", "/devices/{device}", "update_device", "Rename a device", (HttpContext http, string device, DevicesApi api) => api.UpdateAsync(http, device))
            .Accepts<DeviceUpdate>("application/json").Produces<DeviceResource>().Produces<ApiError>(404).Produces<ApiError>(409);
        routes.Map("DELETE", "/devices/{device}", "revoke_device", "Revoke a device: its sessions end, its key is never accepted again", (HttpContext http, string device, DevicesApi api) => api.RevokeAsync(http, device)).Produces<Written>().Produces<ApiError>(404);
        routes.Map("POST", "/devices/{device}/renew", "renew_device", "Let a device count as logged in for as long as this login does", (HttpContext http, string device, DevicesApi api) => api.RenewAsync(http, device)).Produces<DeviceResource>().Produces<ApiError>(404);
    }

    private async Task<IResult> ListAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        var caller = http.Caller();
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        Guid? owner = caller.UserId;
        if (query.Text("user") is { } user && !string.Equals(user, caller.Email, StringComparison.OrdinalIgnoreCase) && user != caller.UserId.ToString("D"))
        {
            if (!SeesAll(caller))
                throw ApiException.Forbidden($"the role {caller.Role} sees only their own devices");
            owner = user == "*" ? null : await connection.FindAsync(Named.User, http, user);
        }

        const string Where = " AND (@owner::uuid IS NULL OR d.user_id = @owner)";
        var filter = new { caller.OrganizationId, owner, query.Size, query.Offset };
        var total = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT count(*)" + DeviceRow.From + Where, filter, cancellationToken: http.RequestAborted));
        var rows = await connection.QueryAsync<DeviceRow>(new CommandDefinition(DeviceRow.Select + Where + " ORDER BY lower(u.email), lower(d.name) LIMIT @Size OFFSET @Offset", filter, cancellationToken: http.RequestAborted));
        var gateways = await directory.GatewaysAsync(http.RequestAborted);
        return Reply.Ok(query.ToPage<DeviceResource>([.. rows.Select(r => r.Describe(network, GridKey(), gateways))], total), ApiJson.Default.DevicePage);
    }

    private async Task<IResult> GetAsync(HttpContext http, string device)
    {
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var id = await FindAsync(connection, null, http, device, SeesAll(http.Caller()));
        return Reply.Ok(await DescribeAsync(connection, null, http, id, await directory.GatewaysAsync(http.RequestAborted)), ApiJson.Default.DeviceResource);
    }

    private async Task<IResult> CreateAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.DeviceCreate);
        var errors = new FieldErrors();
        var name = errors.Name("name", request.Name);
        var key = Key(errors, request.PublicKey);
        var preshared = request.PresharedKey is { } text ? Preshared(errors, text) : null;
        errors.ThrowIfAny();
        var bytes = new byte[WireGuardPublicKey.Length];
        key.CopyTo(bytes);

        var gateways = await directory.GatewaysAsync(http.RequestAborted);
        await using var write = await http.BeginWriteAsync(database);
        if (await http.ReplayAsync(write) is { } earlier)
            return earlier;
        var caller = http.Caller();
        var login = await LoginAsync(write, caller);
        if (await write.QuerySingleAsync<long>("SELECT count(*) FROM device WHERE user_id = @UserId AND revoked_at IS NULL", new { caller.UserId }) >= MaxDevices)
            throw new ApiException(409, ErrorCodes.Conflict, $"a user has at most {MaxDevices} devices: revoke one that is not used any more");
        if (await write.QuerySingleAsync<bool>("SELECT EXISTS (SELECT 1 FROM device WHERE user_id = @UserId AND lower(name) = lower(@name) AND revoked_at IS NULL)", new { caller.UserId, name }))
            throw ApiException.NameTaken("device", name);
        var id = Guid.NewGuid();
        var created = await write.ExecuteAsync("""
            INSERT INTO device (device_id, organization_id, user_id, name, public_key, preshared_key, renewed_at, login_valid_until)
            VALUES (@id, @OrganizationId, @UserId, @name, @bytes, @value, @At, @ValidUntil) ON CONFLICT (public_key) DO NOTHING
            """,
            new { id, caller.OrganizationId, caller.UserId, name, bytes, value = preshared is null ? null : vault.Seal(SecretPlace.DevicePresharedKey(id), preshared), login.At, login.ValidUntil });
        if (created == 0)
            throw new ApiException(409, ErrorCodes.Conflict, "this public key is or was a device's: make a new key pair", [new ApiErrorDetail("public_key", "is or was a device's")]);
        if (!await DeviceAddresses.TakeAsync(write, network, id))
            throw new ApiException(409, ErrorCodes.Conflict, "all addresses for devices are taken: the silos need a larger range (RELAY_WIREGUARD_DEVICES)");
        await write.AuditAsync("device.create", "device", id.ToString("D"), new JsonObject { ["name"] = name, ["public_key"] = key.ToString() });
        var resource = await DescribeAsync(write.Connection, write.Transaction, http, id, gateways);
        return await http.CommitCreatedAsync(write, $"{ApiRoutes.Devices}/{id:D}", resource, ApiJson.Default.DeviceResource);
    }

    private async Task<IResult> UpdateAsync(HttpContext http, string device)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.DeviceUpdate);
        var errors = new FieldErrors();
        var name = request.Name is null ? null : errors.Name("name", request.Name);
        errors.ThrowIfAny();
        var gateways = await directory.GatewaysAsync(http.RequestAborted);
        await using var write = await http.BeginWriteAsync(database);
        var id = await FindAsync(write.Connection, write.Transaction, http, device, http.Caller().IsAdmin);
        if (name is not null)
        {
            var former = await write.QuerySingleAsync<string>("SELECT name FROM device WHERE device_id = @id", new { id });
            if (await write.QuerySingleAsync<bool>("SELECT EXISTS (SELECT 1 FROM device o JOIN device d USING (user_id) WHERE d.device_id = @id AND o.device_id <> @id AND lower(o.name) = lower(@name) AND o.revoked_at IS NULL)", new { id, name }))
                throw ApiException.NameTaken("device", name);
            await write.ExecuteAsync("UPDATE device SET name = @name WHERE device_id = @id", new { id, name });
            await write.AuditAsync("device.update", "device", id.ToString("D"), new JsonObject { ["name"] = name, ["former_name"] = former });
        }

        var resource = await DescribeAsync(write.Connection, write.Transaction, http, id, gateways);
        await write.CommitAsync(bump: name is not null);
        return Reply.Ok(resource, ApiJson.Default.DeviceResource);
    }

    private async Task<IResult> RevokeAsync(HttpContext http, string device)
    {
        await using var write = await http.BeginWriteAsync(database);
        var id = await FindAsync(write.Connection, write.Transaction, http, device, http.Caller().IsAdmin);
        var (name, user) = await write.QuerySingleAsync<(string, Guid)>("UPDATE device SET revoked_at = now(), preshared_key = NULL WHERE device_id = @id RETURNING name, user_id", new { id });
        await write.AuditAsync("device.revoke", "device", id.ToString("D"), new JsonObject { ["name"] = name, ["user_id"] = user.ToString("D") });
        await write.CommitAsync();
        return Reply.Written();
    }

    // SECURITY: nobody but the user themselves can say that they have logged in.
    private async Task<IResult> RenewAsync(HttpContext http, string device)
    {
        var gateways = await directory.GatewaysAsync(http.RequestAborted);
        await using var write = await http.BeginWriteAsync(database);
        var id = await FindAsync(write.Connection, write.Transaction, http, device, all: false);
        var login = await LoginAsync(write, http.Caller());
        // An earlier login than the one it has takes nothing away.
        await write.ExecuteAsync("UPDATE device SET renewed_at = @At, login_valid_until = @ValidUntil WHERE device_id = @id AND renewed_at <= @At", new { id, login.At, login.ValidUntil });
        var resource = await DescribeAsync(write.Connection, write.Transaction, http, id, gateways);
        await write.AuditAsync("device.renew", "device", id.ToString("D"), new JsonObject { ["name"] = resource.Name, ["login_valid_until"] = resource.LoginValidUntil?.ToString("O") });
        await write.CommitAsync();
        return Reply.Ok(resource, ApiJson.Default.DeviceResource);
    }

    /// <summary>The caller's login, and until when it counts for a device.</summary>
    /// <exception cref="ApiException">403: it is too old.</exception>
    private static async Task<Login> LoginAsync(OrganizationWrite write, Caller caller)
    {
        var login = await write.QuerySingleAsync<Login>("""
            SELECT l.created_at AS at, o.device_login_seconds AS seconds,
                   CASE WHEN o.device_login_seconds = 0 THEN NULL ELSE l.created_at + make_interval(secs => o.device_login_seconds) END AS valid_until,
                   o.device_login_seconds > 0 AND l.created_at + make_interval(secs => o.device_login_seconds) <= now() AS is_over
            FROM login_session l, organization o WHERE l.login_session_id = @LoginSessionId AND o.organization_id = @OrganizationId
            """, new { caller.LoginSessionId, caller.OrganizationId }) ?? throw ApiException.BadToken("the login has ended");
        return login.IsOver
            ? throw new ApiException(403, ErrorCodes.LoginTooOld, $"you logged in at {login.At:yyyy-MM-dd HH:mm} UTC, and for a device a login counts for {TimeSpan.FromSeconds(login.Seconds):g} (days:hours:minutes): log in again (relay login), then try again")
            : login;
    }

    private static bool SeesAll(Caller caller) => caller.Role is "admin" or "read_only";

    // Names are one's own; other users' devices are found by id alone, and to whom they are no business they do not exist.
    private static async Task<Guid> FindAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, HttpContext http, string device, bool all)
    {
        var caller = http.Caller();
        var isId = Guid.TryParse(device, out var id);
        return await connection.QuerySingleOrDefaultAsync<Guid?>(new CommandDefinition(
            "SELECT device_id FROM device WHERE organization_id = @OrganizationId AND revoked_at IS NULL AND "
                + (isId ? "device_id = @id AND (@all OR user_id = @UserId)" : "user_id = @UserId AND lower(name) = lower(@device)"),
            new { caller.OrganizationId, caller.UserId, id, device, all }, transaction, cancellationToken: http.RequestAborted)) ?? throw ApiException.NotFound("device", device);
    }

    private async Task<DeviceResource> DescribeAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, HttpContext http, Guid id, IReadOnlyList<GatewayRow> gateways) =>
        (await connection.QuerySingleAsync<DeviceRow>(new CommandDefinition(DeviceRow.Select + " AND d.device_id = @id", new { http.Caller().OrganizationId, id }, transaction, cancellationToken: http.RequestAborted)))
            .Describe(network, GridKey(), gateways);

    private string GridKey() => authorities.WireGuardPublicKey?.ToString()
        ?? throw new ApiException(503, ErrorCodes.StoreUnavailable, "this silo was started without the database, from what an older version left: restart it, then it knows the grid's WireGuard key");

    private WireGuardPublicKey Key(FieldErrors errors, string? text)
    {
        WireGuardPublicKey key = default;
        if (string.IsNullOrWhiteSpace(text))
            errors.Add("public_key", "is required");
        else if (!WireGuardPublicKey.TryParse(text.Trim(), out key))
            errors.Add("public_key", "must be the 44 characters of base64 that wg pubkey prints");
        else if (!WireGuardPrivateKey.CanAgreeWith(key) || key == authorities.WireGuardPublicKey)
            errors.Add("public_key", "is no device's public key");
        return key;
    }

    private static byte[]? Preshared(FieldErrors errors, string text)
    {
        // The same form as a public key's.
        if (!WireGuardPublicKey.TryParse(text.Trim(), out var key))
        {
            errors.Add("preshared_key", "must be the 44 characters of base64 that wg genpsk prints");
            return null;
        }

        var bytes = new byte[WireGuardPublicKey.Length];
        key.CopyTo(bytes);
        return bytes;
    }

    private sealed class Login
    {
        public DateTimeOffset At { get; init; }

        public int Seconds { get; init; }

        public DateTimeOffset? ValidUntil { get; init; }

        public bool IsOver { get; init; }
    }
}
