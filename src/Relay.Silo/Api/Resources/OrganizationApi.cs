using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;

namespace Relay.Silo.Api.Resources;

/// <summary>organization: its CAs, and the script that makes a target trust one.</summary>
internal sealed class OrganizationApi(NpgsqlDataSource database)
{
    private const int MaxDeviceLoginSeconds = 365 * 24 * 3600;

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/organization", "get_organization", "Show the organization with its CAs", (HttpContext http, OrganizationApi api) => api.GetAsync(http)).Produces<OrganizationResource>();
        routes.Map("PATCH", "/organization", "update_organization", "Change the organization's settings", (HttpContext http, OrganizationApi api) => api.UpdateAsync(http))
            .Accepts<OrganizationUpdate>("application/json").Produces<OrganizationResource>();
        routes.Map("GET", "/organization/ssh_setup", "get_ssh_setup", "A shell script that prepares a target's sshd", (HttpContext http, OrganizationApi api) => api.SshSetupAsync(http)).Produces<string>(200, "text/plain");
    }

    private async Task<IResult> GetAsync(HttpContext http)
    {
        var row = await ReadAsync(http);
        return Reply.Ok(
            new OrganizationResource
            {
                OrganizationId = row.OrganizationId, Name = row.Name, SshCa = row.SshCaPublic, UserCa = row.UserCaPublic,
                DeviceLoginSeconds = row.DeviceLoginSeconds, Version = row.Version, CreatedAt = row.CreatedAt,
            },
            ApiJson.Default.OrganizationResource);
    }

    private async Task<IResult> UpdateAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.OrganizationUpdate);
        var errors = new FieldErrors();
        if (request.DeviceLoginSeconds is not (null or 0 or (>= 300 and <= MaxDeviceLoginSeconds)))
            errors.Add("device_login_seconds", $"must be 300 to {MaxDeviceLoginSeconds} (a year), or 0 for ever");
        errors.ThrowIfAny();
        if (request.DeviceLoginSeconds is { } seconds)
        {
            await using var write = await http.BeginWriteAsync(database);
            var former = await write.QuerySingleAsync<int>("SELECT device_login_seconds FROM organization WHERE organization_id = @OrganizationId", new { write.OrganizationId });
            // A shorter one counts from the login that a device has; a longer one asks for a new login.
            await write.ExecuteAsync("""
                UPDATE organization SET device_login_seconds = @seconds WHERE organization_id = @OrganizationId;
                UPDATE device SET login_valid_until = least(login_valid_until, renewed_at + make_interval(secs => @seconds))
                WHERE organization_id = @OrganizationId AND revoked_at IS NULL AND @seconds > 0;
                """, new { write.OrganizationId, seconds });
            await write.AuditAsync("organization.update", "organization", write.OrganizationId.ToString("D"), new JsonObject { ["device_login_seconds"] = seconds, ["former_device_login_seconds"] = former });
            await write.CommitAsync();
        }

        return await GetAsync(http);
    }

    private async Task<IResult> SshSetupAsync(HttpContext http) => TypedResults.Text(SshSetupScript.For((await ReadAsync(http)).SshCaPublic), "text/plain");

    private async Task<OrganizationRow> ReadAsync(HttpContext http)
    {
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        return await connection.QuerySingleAsync<OrganizationRow>(new CommandDefinition(
            "SELECT organization_id, name, ssh_ca_public, user_ca_public, device_login_seconds, version, created_at FROM organization WHERE organization_id = @OrganizationId", new { http.Caller().OrganizationId }, cancellationToken: http.RequestAborted));
    }

    private sealed class OrganizationRow
    {
        public Guid OrganizationId { get; init; }

        public string Name { get; init; } = "";

        public string SshCaPublic { get; init; } = "";

        public string UserCaPublic { get; init; } = "";

        public int DeviceLoginSeconds { get; init; }

        public long Version { get; init; }

        public DateTimeOffset CreatedAt { get; init; }
    }
}
