using System.Collections.Concurrent;
using System.Net;
using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Policy;
using Relay.Protocol.Ssh;
using Relay.Silo.Api.Http;
using Relay.Silo.Authorities;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>client/…: what a user's own tools need. Everything here is about the caller.</summary>
internal sealed class ClientApi(NpgsqlDataSource database, IAuthorities authorities, SiloDirectory directory, TimeProvider time)
{
    private static readonly TimeSpan DefaultLifetime = TimeSpan.FromHours(8);

    private readonly ConcurrentDictionary<Guid, CompiledPolicies> _compiled = new();

    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("GET", "/client/resources", "list_client_resources", "List the sockets I may reach now", (HttpContext http, ClientApi api) => api.ResourcesAsync(http)).WithPages("type").Produces<Page<ClientResource>>();
        routes.Map("POST", "/client/ssh_certificate", "issue_ssh_certificate", "Certify a key of mine for a while", (HttpContext http, ClientApi api) => api.CertifyAsync(http))
            .Accepts<SshCertificateRequest>("application/json").Produces<SshCertificateResponse>();
        routes.Map("GET", "/client/gateways", "list_gateways", "Where to dial, and the host key to expect", (HttpContext http, ClientApi api) => api.GatewaysAsync(http)).Produces<ClientGateways>();
    }

    private async Task<IResult> ResourcesAsync(HttpContext http)
    {
        var query = new ListQuery(http);
        var caller = http.Caller();
        var type = UpstreamValidator.Canonical(query.Text("type"));
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var policies = await PoliciesAsync(connection, caller.OrganizationId, http.RequestAborted);
        var subject = await SubjectAsync(connection, caller, http.RequestAborted);
        var rows = await connection.QueryAsync<SocketRow>(new CommandDefinition(SocketRows.Select + " WHERE s.organization_id = @OrganizationId AND (@type::text IS NULL OR s.socket_type = @type) ORDER BY lower(s.name)", new { caller.OrganizationId, type }, cancellationToken: http.RequestAborted));
        var address = http.Connection.RemoteIpAddress ?? IPAddress.Loopback;
        var reachable = rows.Where(r => policies.MayReach(subject, SocketRows.Facts(r), address, time.GetUtcNow())).ToArray();
        var page = reachable.Skip(query.Offset).Take(query.Size).ToArray();
        var described = await SocketRows.DescribeAsync(connection, null, page, http.RequestAborted);
        return Reply.Ok(query.ToPage<ClientResource>([.. described.Select(Describe)], reachable.Length), ApiJson.Default.ClientResourcePage);
    }

    private async Task<IResult> CertifyAsync(HttpContext http)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.SshCertificateRequest);
        var caller = http.Caller();
        var errors = new FieldErrors();
        SshPublicKey? key = null;
        if (string.IsNullOrWhiteSpace(request.PublicKey))
            errors.Add("public_key", "is required");
        else if (!SshPublicKey.TryParseLine(request.PublicKey.Trim(), out key, out _, out var problem))
            errors.Add("public_key", problem);
        if (request.LifetimeSeconds is < 60 or > 86400)
            errors.Add("lifetime_seconds", "must be 60 to 86400");
        errors.ThrowIfAny();

        var wanted = request.LifetimeSeconds is { } seconds ? TimeSpan.FromSeconds(seconds) : DefaultLifetime;
        var left = caller.LoginExpiresAt - time.GetUtcNow();
        var certificate = authorities.SignUserCertificate(caller.OrganizationId, caller.UserId, caller.Email, key!, wanted < left ? wanted : left);
        await using (var connection = await database.OpenConnectionAsync(http.RequestAborted))
        {
            await AuditTrail.AppendAsync(connection, null, http.Actor(), "ssh_certificate.issue", "user", caller.UserId.ToString("D"), "success",
                new JsonObject { ["fingerprint"] = key!.Fingerprint, ["serial"] = certificate.Serial, ["valid_before"] = certificate.ValidBefore.ToString("O") }, http.RequestAborted);
        }
        return Reply.Ok(new SshCertificateResponse { Certificate = certificate.ToLine(caller.Email), ValidAfter = certificate.ValidAfter, ValidBefore = certificate.ValidBefore, KeyId = certificate.KeyId }, ApiJson.Default.SshCertificateResponse);
    }

    private async Task<IResult> GatewaysAsync(HttpContext http)
    {
        var gateways = await directory.GatewaysAsync(http.RequestAborted);
        return Reply.Ok(new ClientGateways { Gateways = [.. gateways.Select(g => new ClientGateway(g.Name, g.SshAddress, g.LastSeenAt))], HostKey = authorities.GatewayHostKey.PublicKey.ToLine() }, ApiJson.Default.ClientGateways);
    }

    // Compiling is work; the organization's version says when it has to be done again.
    private async Task<CompiledPolicies> PoliciesAsync(NpgsqlConnection connection, Guid organizationId, CancellationToken cancellationToken)
    {
        var version = await connection.ExecuteScalarAsync<long>(new CommandDefinition("SELECT version FROM organization WHERE organization_id = @organizationId", new { organizationId }, cancellationToken: cancellationToken));
        if (_compiled.TryGetValue(organizationId, out var known) && known.Version == version)
            return known;
        var rows = await connection.QueryAsync<PolicyRow>(new CommandDefinition(PolicyRows.Select + " WHERE p.organization_id = @organizationId", new { organizationId }, cancellationToken: cancellationToken));
        var attached = (await connection.QueryAsync<(Guid PolicyId, Guid SocketId)>(new CommandDefinition(
            "SELECT x.policy_id, x.socket_id FROM policy_socket x JOIN policy p USING (policy_id) WHERE p.organization_id = @organizationId", new { organizationId }, cancellationToken: cancellationToken))).ToLookup(a => a.PolicyId, a => a.SocketId);
        var entries = rows.Select(r => PolicyRows.ToEntry(r, attached[r.PolicyId].ToHashSet())).OfType<PolicyEntry>();
        return _compiled[organizationId] = CompiledPolicies.Compile(organizationId, version, entries);
    }

    private static async Task<Subject> SubjectAsync(NpgsqlConnection connection, Caller caller, CancellationToken cancellationToken)
    {
        var groups = await connection.QueryAsync<(Guid Id, string Name)>(new CommandDefinition(
            "SELECT g.group_id, g.display_name FROM group_member m JOIN user_group g USING (group_id) WHERE m.user_id = @UserId", new { caller.UserId }, cancellationToken: cancellationToken));
        return new Subject(caller.UserId, caller.Email, groups.SelectMany(g => new[] { g.Id.ToString("D"), g.Name }).ToHashSet(StringComparer.OrdinalIgnoreCase), null);
    }

    private static ClientResource Describe(SocketResource socket) => new()
    {
        SocketId = socket.SocketId,
        Name = socket.Name,
        DisplayName = socket.DisplayName,
        SocketType = socket.SocketType,
        Dnsname = socket.Dnsname,
        Tags = socket.Tags,
        Alive = socket.Alive,
        StatusReason = socket.StatusReason,
        UsernameProvider = socket.UpstreamConfiguration.SshServiceConfiguration?.UsernameProvider ?? "",
        Username = socket.UpstreamConfiguration.SshServiceConfiguration?.Username ?? "",
    };
}
