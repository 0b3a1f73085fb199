using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Text;
using System.Text.Json;
using Dapper;
using Npgsql;
using Relay.Policy;
using Relay.Protocol.Ssh;
using Relay.Silo.Authorities;
using Relay.Silo.Devices;
using Relay.Silo.Sessions;

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
    /// <param name="known">As read before, of the same organization: only what was changed since is read. Null: everything is.</param>
    public Task<SnapshotRows?> RowsAsync(Guid organizationId, SnapshotRows? known, CancellationToken cancellationToken) =>
        peers.IsNeeded ? peers.RowsAsync(organizationId, cancellationToken) : ReadAsync(organizationId, known, cancellationToken);

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
    /// <param name="known">As in <see cref="RowsAsync"/>.</param>
    public Task<SnapshotRows?> ReadAsync(Guid organizationId, SnapshotRows? known, CancellationToken cancellationToken) =>
        SnapshotParts.ReadAsync(database, organizationId, known, cancellationToken);

    /// <summary>What decisions are made by.</summary>
    /// <param name="rows">As read.</param>
    /// <param name="former">An earlier one of the same organization: what is made of the same lists is shared with it. Null: all is made anew.</param>
    /// <exception cref="InvalidDataException">A row cannot be what it is.</exception>
    public OrgSnapshot Build(SnapshotRows rows, OrgSnapshot? former = null)
    {
        var head = rows.Head;
        var organizationId = head.OrganizationId;
        if (!SshPublicKey.TryParseLine(head.UserCaPublic, out var userCa, out _, out var error))
            throw new InvalidDataException($"the user CA of organization {organizationId} cannot be read: {error}");

        // Whether nothing of them was read anew: the lists themselves say so.
        bool Same(Func<SnapshotRows, object> part) => former is not null && ReferenceEquals(part(former.Rows), part(rows));
        var sameUsers = Same(r => r.Users) && Same(r => r.Members);
        var sameSockets = Same(r => r.Sockets) && Same(r => r.Connectors);
        var samePolicies = Same(r => r.Policies) && Same(r => r.Attachments);
        OrgSocket[] sockets = sameSockets ? [] : Sockets(rows);
        return new OrgSnapshot
        {
            OrganizationId = organizationId,
            Name = head.Name,
            Version = head.Version,
            Rows = rows,
            UserCa = userCa,
            Users = sameUsers ? former!.Users : Users(rows),
            Keys = Same(r => r.Keys) ? former!.Keys : rows.Keys.ToFrozenDictionary(k => k.Fingerprint, k => k.UserId, StringComparer.Ordinal),
            Sockets = sameSockets ? former!.Sockets : sockets.ToFrozenDictionary(s => s.Id),
            SocketsByName = sameSockets ? former!.SocketsByName : sockets.ToFrozenDictionary(s => s.Name, StringComparer.OrdinalIgnoreCase),
            SocketsByAddress = sameSockets ? former!.SocketsByAddress : sockets.SelectMany(s => s.Addresses, KeyValuePair.Create).ToFrozenDictionary(p => p.Value, p => p.Key),
            Devices = Same(r => r.Devices) ? former!.Devices : rows.Devices.ToFrozenDictionary(d => d.DeviceId, Device),
            ConnectorTokens = Same(r => r.Tokens) ? former!.ConnectorTokens : rows.Tokens.ToFrozenDictionary(t => t.TokenId, t => new OrgConnectorToken(t.Revoked, t.ExpiresAt)),
            Policies = samePolicies ? former!.Policies.At(head.Version) : CompiledPolicies.Compile(organizationId, head.Version, Policies(rows)),
        };
    }

    private static FrozenDictionary<Guid, OrgUser> Users(SnapshotRows rows)
    {
        var members = rows.Members.ToLookup(m => m.UserId);
        var groups = new Dictionary<string, FrozenSet<string>>(StringComparer.Ordinal);
        return rows.Users.ToFrozenDictionary(u => u.UserId, u => new OrgUser(u.UserId, u.Email, u.Role, Groups(members[u.UserId], groups)));
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

    private OrgSocket[] Sockets(SnapshotRows rows)
    {
        var connectors = rows.Connectors.ToLookup(c => c.SocketId, c => new OrgConnector(c.ConnectorId, c.Name, c.SshHostKey));
        return [.. rows.Sockets.Select(s => Socket(s, [.. connectors[s.SocketId]]))];
    }

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

    private List<PolicyEntry> Policies(SnapshotRows rows)
    {
        var organizationId = rows.Head.OrganizationId;
        var attached = rows.Attachments.ToLookup(a => a.PolicyId, a => a.SocketId);
        var entries = new List<PolicyEntry>(rows.Policies.Count);
        var former = _documents.GetValueOrDefault(organizationId);
        var documents = new Dictionary<Guid, (string Text, PolicyDocument Document)>(rows.Policies.Count);
        foreach (var row in rows.Policies)
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
