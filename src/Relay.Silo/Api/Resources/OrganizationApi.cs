using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Silo.Api.Http;

namespace Relay.Silo.Api.Resources;

/// <summary>organization: its CAs, and the script that makes a target trust one.</summary>
internal sealed class OrganizationApi(NpgsqlDataSource database)
{
    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/organization", "get_organization", "Show the organization with its CAs", (HttpContext http, OrganizationApi api) => api.GetAsync(http)).Produces<OrganizationResource>();
        routes.Map("GET", "/organization/ssh_setup", "get_ssh_setup", "A shell script that prepares a target's sshd", (HttpContext http, OrganizationApi api) => api.SshSetupAsync(http)).Produces<string>(200, "text/plain");
    }

    private async Task<IResult> GetAsync(HttpContext http)
    {
        var row = await ReadAsync(http);
        return Reply.Ok(new OrganizationResource { OrganizationId = row.OrganizationId, Name = row.Name, SshCa = row.SshCaPublic, UserCa = row.UserCaPublic, Version = row.Version, CreatedAt = row.CreatedAt }, ApiJson.Default.OrganizationResource);
    }

    private async Task<IResult> SshSetupAsync(HttpContext http) => TypedResults.Text(SshSetupScript.For((await ReadAsync(http)).SshCaPublic), "text/plain");

    private async Task<OrganizationRow> ReadAsync(HttpContext http)
    {
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        return await connection.QuerySingleAsync<OrganizationRow>(new CommandDefinition(
            "SELECT organization_id, name, ssh_ca_public, user_ca_public, version, created_at FROM organization WHERE organization_id = @OrganizationId", new { http.Caller().OrganizationId }, cancellationToken: http.RequestAborted));
    }

    private sealed class OrganizationRow
    {
        public Guid OrganizationId { get; init; }

        public string Name { get; init; } = "";

        public string SshCaPublic { get; init; } = "";

        public string UserCaPublic { get; init; } = "";

        public long Version { get; init; }

        public DateTimeOffset CreatedAt { get; init; }
    }
}
