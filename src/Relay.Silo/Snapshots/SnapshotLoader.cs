using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Data;
using System.Text;
using System.Text.Json;
using Dapper;
using Npgsql;
using Relay.Policy;
using Relay.Protocol.Ssh;
using Relay.Silo.Authorities;
using Relay.Silo.Devices;
using Relay.Silo.Sessions;
using Relay.Silo.Storage;

namespace Relay.Silo.Snapshots;

/// <summary>What the store has to say before any organization is read.</summary>
/// <param name="Versions">Which organizations exist, at which version.</param>
/// <param name="RevokedGateways">As long as there can be certificates from before; null: not known.</param>
internal sealed record StoreHeads(IReadOnlyDictionary<Guid, long> Versions, IReadOnlyList<RevokedGateway>? RevokedGateways);

/// <summary>Reads one organization at one version: from the store, or through a peer while only this silo's way to it is cut. Safe for concurrent use.</summary>
internal sealed partial class SnapshotLoader(NpgsqlDataSource database, IStoreThroughPeer peers, DeviceNetwork network, ILogger<SnapshotLoader> logger)
{
    // A document is parsed once for as long as its text stays the same: a change rarely changes more than one.
    private readonly ConcurrentDictionary<Guid, Dictionary<Guid, (string Text, PolicyDocument Document)>> _documents = new();

    /// <summary>What there is to read, and what belongs to no organization.</summary>
    public Task<StoreHeads> HeadsAsync(CancellationToken cancellationToken) =>
        peers.IsNeeded ? peers.HeadsAsync(cancellationToken) : ReadHeadsAsync(cancellationToken);

    /// <summary>What <see cref="Build"/> takes. Null: the organization is gone.</summary>
    public Task<SnapshotRows?> RowsAsync(Guid organizationId, CancellationToken cancellationToken) =>
        peers.IsNeeded ? peers.RowsAsync(organizationId, cancellationToken) : ReadAsync(organizationId, cancellationToken);

    /// <summary><see cref="HeadsAsync"/>, from the store itself.</summary>
    public async Task<StoreHeads> ReadHeadsAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        // The gateways second: who sees a version sees at least what was revoked with it.
        await using var results = await connection.QueryMultipleAsync(new CommandDefinition(
            """
            SELECT organization_id, version FROM organization;
            SELECT name, date_trunc('second', certificates_after) AS after FROM gateway_name WHERE certificates_after > now() - @memory;
            """,
            new { memory = AuthorityLimits.GridCertificateLifetime * 2 },
            cancellationToken: cancellationToken));
        var versions = (await results.ReadAsync<(Guid Id, long Version)>()).ToDictionary(r => r.Id, r => r.Version);
        return new StoreHeads(versions, [.. (await results.ReadAsync<(string Name, DateTimeOffset After)>()).Select(g => new RevokedGateway(g.Name, g.After))]);
    }

    /// <summary>The rows, from the store itself; null: the organization is gone.</summary>
    public async Task<SnapshotRows?> ReadAsync(Guid organizationId, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        // One snapshot of the database for all reads: a version with half of another one's rows would be a lie.
        await using var transaction = await connection.BeginBoundedAsync(BoundedTransaction.LongPatience, cancellationToken, IsolationLevel.RepeatableRead);
        await using var results = await connection.QueryMultipleAsync(new CommandDefinition(
            """
            SELECT organization_id, name, version, user_ca_public FROM organization WHERE organization_id = @organizationId;
            SELECT user_id, email, role FROM app_user WHERE organization_id = @organizationId;
            SELECT m.user_id, g.group_id, g.display_name FROM group_member m JOIN user_group g USING (group_id) WHERE g.organization_id = @organizationId;
            SELECT k.fingerprint, k.user_id FROM user_ssh_key k JOIN app_user u USING (user_id) WHERE u.organization_id = @organizationId;
            SELECT socket_id, name, socket_type, tags, recording_enabled, upstream, upstream_secrets, host_keys, resource_index FROM socket WHERE organization_id = @organizationId;
            SELECT s.socket_id, c.connector_id, c.name, nullif(c.metadata->>'ssh_host_key', '') AS ssh_host_key FROM socket_connector s JOIN connector c USING (connector_id) WHERE c.organization_id = @organizationId ORDER BY c.name;
            SELECT t.token_id, t.revoked_at IS NOT NULL AS revoked, t.expires_at FROM connector_token t JOIN connector c USING (connector_id) WHERE c.organization_id = @organizationId;
            SELECT policy_id, name, org_wide, policy_data, tag_rules, expires_at FROM policy WHERE organization_id = @organizationId;
            SELECT p.policy_id, p.socket_id FROM policy_socket p JOIN policy USING (policy_id) WHERE organization_id = @organizationId;
            SELECT d.device_id, d.user_id, d.name, d.public_key, d.preshared_key, d.login_valid_until, a.address_index FROM device d JOIN device_address a USING (device_id) WHERE d.organization_id = @organizationId AND d.revoked_at IS NULL AND a.released_at IS NULL;
            """,
            new { organizationId },
            transaction,
            cancellationToken: cancellationToken));

        var head = (await results.ReadAsync<SnapshotRows.HeadRow>()).SingleOrDefault();
        return head is null ? null : new SnapshotRows
        {
            Head = head,
            Users = (await results.ReadAsync<SnapshotRows.UserRow>()).AsList(),
            Members = (await results.ReadAsync<SnapshotRows.MemberRow>()).AsList(),
            Keys = (await results.ReadAsync<SnapshotRows.KeyRow>()).AsList(),
            Sockets = (await results.ReadAsync<SnapshotRows.SocketRow>()).AsList(),
            Connectors = (await results.ReadAsync<SnapshotRows.SocketConnectorRow>()).AsList(),
            Tokens = (await results.ReadAsync<SnapshotRows.TokenRow>()).AsList(),
            Policies = (await results.ReadAsync<SnapshotRows.PolicyRow>()).AsList(),
            Attachments = (await results.ReadAsync<SnapshotRows.AttachmentRow>()).AsList(),
            Devices = (await results.ReadAsync<SnapshotRows.DeviceRow>()).AsList(),
        };
    }

    /// <exception cref="InvalidDataException">A row cannot be what it is.</exception>
    public OrgSnapshot Build(SnapshotRows rows)
    {
        var head = rows.Head;
        var organizationId = head.OrganizationId;
        var members = rows.Members.ToLookup(m => m.UserId);
        var connectors = rows.Connectors.ToLookup(c => c.SocketId, c => new OrgConnector(c.ConnectorId, c.Name, c.SshHostKey));
        var attached = rows.Attachments.ToLookup(a => a.PolicyId, a => a.SocketId);
        var groups = new Dictionary<string, FrozenSet<string>>(StringComparer.Ordinal);
        if (!SshPublicKey.TryParseLine(head.UserCaPublic, out var userCa, out _, out var error))
            throw new InvalidDataException($"the user CA of organization {organizationId} cannot be read: {error}");

        var socketFacts = rows.Sockets.Select(s => Socket(s, [.. connectors[s.SocketId]])).ToArray();
        return new OrgSnapshot
        {
            OrganizationId = organizationId,
            Name = head.Name,
            Version = head.Version,
            UserCa = userCa,
            Users = rows.Users.ToFrozenDictionary(u => u.UserId, u => new OrgUser(u.UserId, u.Email, u.Role, Groups(members[u.UserId], groups))),
            Keys = rows.Keys.ToFrozenDictionary(k => k.Fingerprint, k => k.UserId, StringComparer.Ordinal),
            Sockets = socketFacts.ToFrozenDictionary(s => s.Id),
            SocketsByName = socketFacts.ToFrozenDictionary(s => s.Name, StringComparer.OrdinalIgnoreCase),
            SocketsByAddress = socketFacts.SelectMany(s => s.Addresses, KeyValuePair.Create).ToFrozenDictionary(p => p.Value, p => p.Key),
            Devices = rows.Devices.ToFrozenDictionary(d => d.DeviceId, Device),
            ConnectorTokens = rows.Tokens.ToFrozenDictionary(t => t.TokenId, t => new OrgConnectorToken(t.Revoked, t.ExpiresAt)),
            Policies = CompiledPolicies.Compile(organizationId, head.Version, Policies(organizationId, rows.Policies, attached)),
        };
    }

    // Users of the same groups share one set: there are many users, and few combinations of groups.
    private static FrozenSet<string> Groups(IEnumerable<SnapshotRows.MemberRow> memberships, Dictionary<string, FrozenSet<string>> known)
    {
        var groups = memberships.ToArray();
        if (groups.Length == 0)
            return FrozenSet<string>.Empty;
        var key = string.Concat(groups.Select(m => m.GroupId).Order().Select(id => id.ToString("N")));
        if (!known.TryGetValue(key, out var set))
            known[key] = set = groups.SelectMany(m => new[] { m.GroupId.ToString("D"), m.DisplayName }).ToFrozenSet(StringComparer.Ordinal);
        return set;
    }

    private OrgDevice Device(SnapshotRows.DeviceRow row) =>
        new(row.DeviceId, row.UserId, row.Name, Convert.ToBase64String(row.PublicKey), network.OfDevice(row.AddressIndex), row.LoginValidUntil, row.PresharedKey);

    private OrgSocket Socket(SnapshotRows.SocketRow row, IReadOnlyList<OrgConnector> connectors)
    {
        // What policies judge the socket as is what it carries, or nothing.
        var target = SocketTarget.TryRead(row.Upstream) is { } read && read.SocketType == row.SocketType ? read : null;
        var tags = JsonSerializer.Deserialize<Dictionary<string, string>>(row.Tags) ?? [];
        // Where the connector's own user is used, the socket decides who: empty, so that allowed_usernames does not count.
        var username = target is { UsesConnectorUser: true } ? "" : target?.DefinedUsername;
        var facts = new SocketFacts(row.SocketId, row.Name, row.SocketType, tags.ToFrozenDictionary(StringComparer.Ordinal), username);
        return new OrgSocket(facts, target, row.UpstreamSecrets, row.HostKeys, row.RecordingEnabled && target is not { IsRaw: true }, connectors)
        {
            Addresses = network.OfSocket(row.ResourceIndex),
        };
    }

    private List<PolicyEntry> Policies(Guid organizationId, IReadOnlyList<SnapshotRows.PolicyRow> rows, ILookup<Guid, Guid> attached)
    {
        var entries = new List<PolicyEntry>(rows.Count);
        var former = _documents.GetValueOrDefault(organizationId);
        var documents = new Dictionary<Guid, (string Text, PolicyDocument Document)>(rows.Count);
        foreach (var row in rows)
        {
            PolicyDocument? document;
            IReadOnlyList<PolicyError> errors = [];
            if (former is not null && former.TryGetValue(row.PolicyId, out var same) && same.Text == row.PolicyData)
                document = same.Document;
            else if (!PolicyDocument.TryParse(Encoding.UTF8.GetBytes(row.PolicyData), out document, out errors))
            {
                // Policies only add rights, so one that cannot be read grants nothing and takes nothing from the others.
                LogPolicyUnreadable(logger, row.Name, organizationId, errors.Count == 0 ? "" : $"{errors[0].Path}: {errors[0].Message}");
                continue;
            }

            documents[row.PolicyId] = (row.PolicyData, document);
            var rules = row.TagRules == "[]" ? [] : JsonSerializer.Deserialize<List<Dictionary<string, string>>>(row.TagRules) ?? [];
            entries.Add(new PolicyEntry(row.PolicyId, row.Name, document, row.OrgWide, attached[row.PolicyId].ToFrozenSet(), rules) { Expires = row.ExpiresAt });
        }

        _documents[organizationId] = documents;
        return entries;
    }

    [LoggerMessage(4101, LogLevel.Error, "policy {Policy} of organization {OrganizationId} cannot be read and grants nothing: {Reason}")]
    private static partial void LogPolicyUnreadable(ILogger logger, string policy, Guid organizationId, string reason);
}
