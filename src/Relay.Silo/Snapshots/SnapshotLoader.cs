using System.Collections.Frozen;
using System.Data;
using System.Text;
using System.Text.Json;
using Dapper;
using Npgsql;
using Relay.Policy;
using Relay.Protocol.Ssh;

namespace Relay.Silo.Snapshots;

/// <summary>Reads one organization at one version. Safe for concurrent use.</summary>
internal sealed partial class SnapshotLoader(NpgsqlDataSource database, ILogger<SnapshotLoader> logger)
{
    /// <summary>Which organizations exist, at which version.</summary>
    public async Task<IReadOnlyDictionary<Guid, long>> HeadsAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var rows = await connection.QueryAsync<(Guid Id, long Version)>(
            new CommandDefinition("SELECT organization_id, version FROM organization", cancellationToken: cancellationToken));
        return rows.ToDictionary(r => r.Id, r => r.Version);
    }

    /// <summary>Null: the organization is gone.</summary>
    public async Task<OrgSnapshot?> LoadAsync(Guid organizationId, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        // One snapshot of the database for all reads: a version with half of another one's rows would be a lie.
        await using var transaction = await connection.BeginTransactionAsync(IsolationLevel.RepeatableRead, cancellationToken);
        await using var results = await connection.QueryMultipleAsync(new CommandDefinition(
            """
            SELECT name, version, user_ca_public FROM organization WHERE organization_id = @organizationId;
            SELECT user_id, email, role FROM app_user WHERE organization_id = @organizationId;
            SELECT m.user_id, g.group_id, g.display_name FROM group_member m JOIN user_group g USING (group_id) WHERE g.organization_id = @organizationId;
            SELECT k.fingerprint, k.user_id FROM user_ssh_key k JOIN app_user u USING (user_id) WHERE u.organization_id = @organizationId;
            SELECT socket_id, name, socket_type, tags, recording_enabled, upstream, upstream_secrets, host_keys FROM socket WHERE organization_id = @organizationId;
            SELECT s.socket_id, c.connector_id, c.name, nullif(c.metadata->>'ssh_host_key', '') AS ssh_host_key FROM socket_connector s JOIN connector c USING (connector_id) WHERE c.organization_id = @organizationId ORDER BY c.name;
            SELECT t.token_id, t.revoked_at IS NOT NULL AS revoked, t.expires_at FROM connector_token t JOIN connector c USING (connector_id) WHERE c.organization_id = @organizationId;
            SELECT policy_id, name, org_wide, policy_data, tag_rules, expires_at FROM policy WHERE organization_id = @organizationId;
            SELECT p.policy_id, p.socket_id FROM policy_socket p JOIN policy USING (policy_id) WHERE organization_id = @organizationId;
            """,
            new { organizationId },
            transaction,
            cancellationToken: cancellationToken));

        var head = (await results.ReadAsync<HeadRow>()).SingleOrDefault();
        if (head is null)
            return null;
        var users = (await results.ReadAsync<UserRow>()).AsList();
        var members = (await results.ReadAsync<MemberRow>()).ToLookup(m => m.UserId);
        var keys = (await results.ReadAsync<KeyRow>()).AsList();
        var sockets = (await results.ReadAsync<SocketRow>()).AsList();
        var connectors = (await results.ReadAsync<SocketConnectorRow>()).ToLookup(c => c.SocketId, c => new OrgConnector(c.ConnectorId, c.Name, c.SshHostKey));
        var tokens = (await results.ReadAsync<TokenRow>()).AsList();
        var policies = (await results.ReadAsync<PolicyRow>()).AsList();
        var attached = (await results.ReadAsync<AttachmentRow>()).ToLookup(a => a.PolicyId, a => a.SocketId);

        if (!SshPublicKey.TryParseLine(head.UserCaPublic, out var userCa, out _, out var error))
            throw new InvalidDataException($"the user CA of organization {organizationId} cannot be read: {error}");

        var socketFacts = sockets.ConvertAll(s => Socket(s, [.. connectors[s.SocketId]]));
        return new OrgSnapshot
        {
            OrganizationId = organizationId,
            Name = head.Name,
            Version = head.Version,
            UserCa = userCa,
            Users = users.ToFrozenDictionary(u => u.UserId, u => new OrgUser(u.UserId, u.Email, u.Role, Groups(members[u.UserId]))),
            Keys = keys.ToFrozenDictionary(k => k.Fingerprint, k => k.UserId, StringComparer.Ordinal),
            Sockets = socketFacts.ToFrozenDictionary(s => s.Id),
            SocketsByName = socketFacts.ToFrozenDictionary(s => s.Name, StringComparer.OrdinalIgnoreCase),
            ConnectorTokens = tokens.ToFrozenDictionary(t => t.TokenId, t => new OrgConnectorToken(t.Revoked, t.ExpiresAt)),
            Policies = CompiledPolicies.Compile(organizationId, head.Version, Policies(organizationId, policies, attached)),
        };
    }

    private static FrozenSet<string> Groups(IEnumerable<MemberRow> memberships) =>
        memberships.SelectMany(m => new[] { m.GroupId.ToString("D"), m.DisplayName }).ToFrozenSet(StringComparer.Ordinal);

    private static OrgSocket Socket(SocketRow row, IReadOnlyList<OrgConnector> connectors)
    {
        var target = row.SocketType == "ssh" ? SshTarget.TryRead(row.Upstream) : null;
        var tags = JsonSerializer.Deserialize<Dictionary<string, string>>(row.Tags) ?? [];
        // Where the connector's own user is used, the socket decides who: empty, so that allowed_usernames does not count.
        var username = target is { UsesConnectorUser: true } ? "" : target?.DefinedUsername;
        var facts = new SocketFacts(row.SocketId, row.Name, row.SocketType, tags.ToFrozenDictionary(StringComparer.Ordinal), username);
        return new OrgSocket(facts, target, row.UpstreamSecrets, row.HostKeys, row.RecordingEnabled, connectors);
    }

    private List<PolicyEntry> Policies(Guid organizationId, List<PolicyRow> rows, ILookup<Guid, Guid> attached)
    {
        var entries = new List<PolicyEntry>(rows.Count);
        foreach (var row in rows)
        {
            if (!PolicyDocument.TryParse(Encoding.UTF8.GetBytes(row.PolicyData), out var document, out var errors))
            {
                // Policies only add rights, so one that cannot be read grants nothing and takes nothing from the others.
                LogPolicyUnreadable(logger, row.Name, organizationId, errors.Count == 0 ? "" : $"{errors[0].Path}: {errors[0].Message}");
                continue;
            }

            var rules = JsonSerializer.Deserialize<List<Dictionary<string, string>>>(row.TagRules) ?? [];
            entries.Add(new PolicyEntry(row.PolicyId, row.Name, document, row.OrgWide, attached[row.PolicyId].ToFrozenSet(), rules) { Expires = row.ExpiresAt });
        }

        return entries;
    }

    private sealed class HeadRow
    {
        public string Name { get; init; } = "";

        public long Version { get; init; }

        public string UserCaPublic { get; init; } = "";
    }

    private sealed class UserRow
    {
        public Guid UserId { get; init; }

        public string Email { get; init; } = "";

        public string Role { get; init; } = "";
    }

    private sealed class MemberRow
    {
        public Guid UserId { get; init; }

        public Guid GroupId { get; init; }

        public string DisplayName { get; init; } = "";
    }

    private sealed class KeyRow
    {
        public string Fingerprint { get; init; } = "";

        public Guid UserId { get; init; }
    }

    private sealed class SocketRow
    {
        public Guid SocketId { get; init; }

        public string Name { get; init; } = "";

        public string SocketType { get; init; } = "";

        public string Tags { get; init; } = "";

        public bool RecordingEnabled { get; init; }

        public string Upstream { get; init; } = "";

        public byte[]? UpstreamSecrets { get; init; }

        public string[] HostKeys { get; init; } = [];
    }

    private sealed class SocketConnectorRow
    {
        public Guid SocketId { get; init; }

        public Guid ConnectorId { get; init; }

        public string Name { get; init; } = "";

        public string? SshHostKey { get; init; }
    }

    private sealed class TokenRow
    {
        public Guid TokenId { get; init; }

        public bool Revoked { get; init; }

        public DateTimeOffset? ExpiresAt { get; init; }
    }

    private sealed class PolicyRow
    {
        public Guid PolicyId { get; init; }

        public string Name { get; init; } = "";

        public bool OrgWide { get; init; }

        public string PolicyData { get; init; } = "";

        public string TagRules { get; init; } = "";

        public DateTimeOffset? ExpiresAt { get; init; }
    }

    private sealed class AttachmentRow
    {
        public Guid PolicyId { get; init; }

        public Guid SocketId { get; init; }
    }

    [LoggerMessage(4101, LogLevel.Error, "policy {Policy} of organization {OrganizationId} cannot be read and grants nothing: {Reason}")]
    private static partial void LogPolicyUnreadable(ILogger logger, string policy, Guid organizationId, string reason);
}
