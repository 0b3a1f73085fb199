using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Dapper;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Relay.Policy;
using Relay.Protocol.Ssh;
using Relay.Silo.Devices;
using Relay.Silo.Snapshots;
using Relay.TestKit;

namespace Relay.Tests.Silo.Snapshots;

/// <summary>An organization with some of everything that is read into a snapshot, another one beside it, and all that can be written to it.</summary>
internal sealed class SnapshotScene(PrivatePostgres postgres)
{
    private const string Upstream = """{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":"10.0.0.1","port":22} }""";
    private static readonly string CaLine = SshPrivateKey.Generate(SshKeyKind.Ed25519).PublicKey.ToLine();
    private static int _salt;

    /// <summary>Each kind of write: what it changes of a snapshot, and how. @org; @n differs each time; @id is new.</summary>
    public static readonly (string Name, string[] Parts, string Sql)[] Writes =
    [
        ("user", ["users"], "INSERT INTO app_user (user_id, organization_id, email, role) VALUES (@id, @org, 'u' || @n || '@example.com', 'member')"),
        ("user's role", ["users"], $"UPDATE app_user SET role = CASE role WHEN 'member' THEN 'client' ELSE 'member' END WHERE user_id = {One("app_user", "user_id")}"),
        ("user's email", ["users"], $"UPDATE app_user SET email = 'v' || @n || '@example.com' WHERE user_id = {One("app_user", "user_id")}"),
        ("user's password", [], $"UPDATE app_user SET password_hash = @n::text, display_name = @n::text WHERE user_id = {One("app_user", "user_id")}"),
        ("user gone", ["users", "members", "keys", "devices"], $"DELETE FROM app_user WHERE user_id = {Full("app_user", "user_id")}"),
        ("group", ["members"], "INSERT INTO user_group (group_id, organization_id, display_name) VALUES (@id, @org, 'g' || @n)"),
        ("group's name", ["members"], $"UPDATE user_group SET display_name = 'h' || @n WHERE group_id = {One("user_group", "group_id")}"),
        ("group gone", ["members"], $"DELETE FROM user_group WHERE group_id = {One("user_group", "group_id")}"),
        ("member", ["members"], $"INSERT INTO group_member (group_id, user_id) VALUES ({One("user_group", "group_id")}, {One("app_user", "user_id")}) ON CONFLICT (group_id, user_id) DO UPDATE SET user_id = excluded.user_id"),
        ("members", ["members"], $"DELETE FROM group_member WHERE group_id = {One("user_group", "group_id")}; INSERT INTO group_member (group_id, user_id) SELECT {One("user_group", "group_id")}, user_id FROM app_user WHERE organization_id = @org ON CONFLICT DO NOTHING"),
        ("key", ["keys"], $"INSERT INTO user_ssh_key (key_id, user_id, fingerprint, public_key) VALUES (@id, {One("app_user", "user_id")}, 'SHA256:' || @id, '')"),
        ("key used", [], "UPDATE user_ssh_key SET last_used_at = now(), name = @n::text WHERE user_id IN (SELECT user_id FROM app_user WHERE organization_id = @org)"),
        ("key's user", ["keys"], $"UPDATE user_ssh_key SET user_id = {One("app_user", "user_id")} WHERE key_id = (SELECT min(key_id::text)::uuid FROM user_ssh_key JOIN app_user USING (user_id) WHERE organization_id = @org)"),
        ("key gone", ["keys"], "DELETE FROM user_ssh_key WHERE key_id = (SELECT min(key_id::text)::uuid FROM user_ssh_key JOIN app_user USING (user_id) WHERE organization_id = @org)"),
        ("socket", ["sockets"], $"INSERT INTO socket (socket_id, organization_id, name, socket_type, upstream) VALUES (@id, @org, 's' || @n, 'ssh', '{Upstream}')"),
        ("socket's name", ["sockets"], $"UPDATE socket SET name = 't' || @n WHERE socket_id = {One("socket", "socket_id")}"),
        ("socket's tags", ["sockets"], $$"""UPDATE socket SET tags = jsonb_build_object('env', @n::text) WHERE socket_id = {{One("socket", "socket_id")}}"""),
        ("socket's recording", ["sockets"], $"UPDATE socket SET recording_enabled = NOT recording_enabled WHERE socket_id = {One("socket", "socket_id")}"),
        ("socket's target", ["sockets"], $"UPDATE socket SET upstream = jsonb_set(upstream, '{{ssh_service_configuration,port}}', to_jsonb(1 + abs(@n % 60000))), upstream_secrets = '\\x01', socket_type = 'ssh' WHERE socket_id = {One("socket", "socket_id")}"),
        ("socket's host keys", ["sockets"], $"UPDATE socket SET host_keys = ARRAY[@n::text] WHERE socket_id = {One("socket", "socket_id")}"),
        ("socket's description", [], $"UPDATE socket SET description = @n::text, version = version + 1 WHERE socket_id = {One("socket", "socket_id")}"),
        ("socket gone", ["sockets", "connectors", "attachments"], $"DELETE FROM socket WHERE socket_id = {Full("socket", "socket_id")}"),
        ("connector", [], "INSERT INTO connector (connector_id, organization_id, name) VALUES (@id, @org, 'c' || @n)"),
        ("connector's name", ["connectors", "tokens"], $"UPDATE connector SET name = 'd' || @n WHERE connector_id = {One("connector", "connector_id")}"),
        ("connector's host key", ["connectors"], $"UPDATE connector SET metadata = jsonb_build_object('ssh_host_key', @n::text) WHERE connector_id = {One("connector", "connector_id")}"),
        ("connector attached", [], $"UPDATE connector SET last_seen_at = now(), metadata = metadata || jsonb_build_object('host', @n::text) WHERE connector_id = {One("connector", "connector_id")}"),
        ("connector gone", ["connectors", "tokens"], $"DELETE FROM connector WHERE connector_id = {Full("connector", "connector_id")}"),
        ("socket's connector", ["connectors"], $"INSERT INTO socket_connector (socket_id, connector_id) VALUES ({One("socket", "socket_id")}, {One("connector", "connector_id")}) ON CONFLICT (socket_id, connector_id) DO UPDATE SET socket_id = excluded.socket_id"),
        ("token", ["tokens"], $"INSERT INTO connector_token (token_id, connector_id, created_by) VALUES (@id, {One("connector", "connector_id")}, '')"),
        ("token used", [], "UPDATE connector_token SET last_used_at = now() WHERE connector_id IN (SELECT connector_id FROM connector WHERE organization_id = @org)"),
        ("token revoked", ["tokens"], $"UPDATE connector_token SET revoked_at = now() WHERE connector_id = {Full("connector", "connector_id")}"),
        ("token's end", ["tokens"], $"UPDATE connector_token SET expires_at = now() WHERE connector_id = {Full("connector", "connector_id")}"),
        ("policy", ["policies"], $"INSERT INTO policy (policy_id, organization_id, name, policy_data, org_wide) VALUES (@id, @org, 'p' || @n, {Policy("u@example.com")}, true)"),
        ("policy's document", ["policies"], $"UPDATE policy SET policy_data = {Policy("nobody@example.com")} WHERE policy_id = {One("policy", "policy_id")}"),
        ("policy's name", ["policies"], $"UPDATE policy SET name = 'q' || @n WHERE policy_id = {One("policy", "policy_id")}"),
        ("policy's place", ["policies"], $$"""UPDATE policy SET org_wide = NOT org_wide, tag_rules = '[{"env":"1"}]', expires_at = now() + interval '1 day' WHERE policy_id = {{One("policy", "policy_id")}}"""),
        ("policy's description", [], $"UPDATE policy SET description = @n::text, version = version + 1, updated_at = now() WHERE policy_id = {One("policy", "policy_id")}"),
        ("policy gone", ["policies", "attachments"], $"DELETE FROM policy WHERE policy_id = {Full("policy", "policy_id")}"),
        ("attachment", ["attachments"], $"INSERT INTO policy_socket (policy_id, socket_id) VALUES ({One("policy", "policy_id")}, {One("socket", "socket_id")}) ON CONFLICT (policy_id, socket_id) DO UPDATE SET policy_id = excluded.policy_id"),
        ("device", ["devices"], $"INSERT INTO device (device_id, organization_id, user_id, name, public_key) VALUES (@id, @org, {One("app_user", "user_id")}, 'd' || @n, sha256(@id::text::bytea)); INSERT INTO device_address (address_index, device_id) SELECT coalesce(max(address_index), 0) + 1, @id FROM device_address"),
        ("device's name", ["devices"], $"UPDATE device SET name = 'e' || @n WHERE device_id = {Full("device", "device_id")}"),
        ("device's login", ["devices"], "UPDATE device SET renewed_at = now(), login_valid_until = now() + @n * interval '1 second' WHERE organization_id = @org"),
        ("device's key", ["devices"], $"UPDATE device SET preshared_key = '\\x02' WHERE device_id = {Full("device", "device_id")}"),
        ("device revoked", ["devices"], $"UPDATE device SET revoked_at = now() WHERE device_id = {Full("device", "device_id")}"),
        ("device gone", ["devices"], $"DELETE FROM device WHERE device_id = {Full("device", "device_id")}"),
        ("organization's name", [], "UPDATE organization SET name = 'o' || @n WHERE organization_id = @org"),
        ("another organization's", [], "INSERT INTO app_user (user_id, organization_id, email, role) SELECT @id, organization_id, 'x' || @n || '@example.com', 'member' FROM organization WHERE organization_id <> @org LIMIT 1"),
    ];

    private static readonly (string Part, Func<SnapshotRows, object> Of)[] Parts =
    [
        ("users", r => r.Users), ("members", r => r.Members), ("keys", r => r.Keys), ("sockets", r => r.Sockets), ("connectors", r => r.Connectors),
        ("tokens", r => r.Tokens), ("policies", r => r.Policies), ("attachments", r => r.Attachments), ("devices", r => r.Devices),
    ];

    private readonly SnapshotLoader _loader = new(postgres.DataSource, new NoWayThroughPeers(), DeviceNetwork.Default, NullLogger<SnapshotLoader>.Instance);

    public Guid Organization { get; } = Guid.NewGuid();

    public static async Task<SnapshotScene> CreateAsync(PrivatePostgres postgres)
    {
        var scene = new SnapshotScene(postgres);
        foreach (var organization in new[] { scene.Organization, Guid.NewGuid() })
            await scene.ExecuteAsync("INSERT INTO organization (organization_id, name, user_ca, ssh_ca, user_ca_public, ssh_ca_public) VALUES (@id, @id::text, '', '', @CaLine, '')", organization);
        // Two of each, related to each other: what goes leaves others behind, and takes what belongs to it along.
        foreach (var kind in new[] { "user", "group", "socket", "connector", "policy" })
            await scene.WriteAsync([kind, kind, kind]);
        await scene.ExecuteAsync(
            """
            INSERT INTO group_member SELECT group_id, user_id FROM user_group JOIN app_user USING (organization_id) WHERE organization_id = @org;
            INSERT INTO user_ssh_key (key_id, user_id, fingerprint, public_key) SELECT gen_random_uuid(), user_id, 'SHA256:' || user_id, '' FROM app_user WHERE organization_id = @org;
            INSERT INTO socket_connector SELECT socket_id, connector_id FROM socket JOIN connector USING (organization_id) WHERE organization_id = @org;
            INSERT INTO connector_token (token_id, connector_id, created_by) SELECT gen_random_uuid(), connector_id, '' FROM connector WHERE organization_id = @org;
            INSERT INTO policy_socket SELECT policy_id, socket_id FROM policy JOIN socket USING (organization_id) WHERE organization_id = @org;
            INSERT INTO device (device_id, organization_id, user_id, name, public_key) SELECT user_id, organization_id, user_id, 'd', sha256(user_id::text::bytea) FROM app_user WHERE organization_id = @org;
            INSERT INTO device_address SELECT (SELECT coalesce(max(address_index), 0) FROM device_address) + row_number() OVER (), device_id FROM device WHERE organization_id = @org;
            """, Guid.NewGuid());
        return scene;
    }

    /// <summary>One transaction, as the silo writes: the organization's row first, its version last.</summary>
    public async Task WriteAsync(string[] kinds, bool abandon = false)
    {
        await using var connection = await postgres.DataSource.OpenConnectionAsync();
#pragma warning disable RS0030 // Nobody is frozen in a test.
        await using var transaction = await connection.BeginTransactionAsync();
#pragma warning restore RS0030
        await connection.ExecuteAsync("SELECT 1 FROM organization WHERE organization_id = @Organization FOR UPDATE", new { Organization }, transaction);
        foreach (var kind in kinds)
            await connection.ExecuteAsync(Writes.Single(w => w.Name == kind).Sql, Arguments(Guid.NewGuid()), transaction);
        await connection.ExecuteAsync("UPDATE organization SET version = version + 1 WHERE organization_id = @Organization", new { Organization }, transaction);
        if (!abandon)
            await transaction.CommitAsync();
    }

    public async Task<SnapshotRows> ReadAsync(SnapshotRows? known) => (await FindAsync(known))!;

    /// <summary>Null: the organization is gone.</summary>
    public Task<SnapshotRows?> FindAsync(SnapshotRows? known) => _loader.ReadAsync(Organization, known, CancellationToken.None);

    public OrgSnapshot Build(SnapshotRows rows, OrgSnapshot? former) => _loader.Build(rows, former);

    /// <summary>The parts that were read anew.</summary>
    public static string[] Changed(SnapshotRows before, SnapshotRows after) => [.. Parts.Where(p => !ReferenceEquals(p.Of(before), p.Of(after))).Select(p => p.Part)];

    /// <summary>All that rows say, whatever their order.</summary>
    public static string Canonical(SnapshotRows rows)
    {
        var json = JsonSerializer.SerializeToNode(rows, SnapshotRowsJson.Default.SnapshotRows)!.AsObject();
        return string.Join('\n', json.Select(p => $"{p.Key}: " + (p.Value is JsonArray list ? string.Join("\n  ", list.Select(r => r!.ToJsonString()).Order(StringComparer.Ordinal)) : p.Value!.ToJsonString())));
    }

    /// <summary>All that a snapshot says, and what it decides.</summary>
    public static string Canonical(OrgSnapshot snapshot)
    {
        var lines = new List<string> { $"{snapshot.Version} {snapshot.Name} {snapshot.UserCa.Fingerprint} {snapshot.Policies.Version} {snapshot.Policies.Count}" };
        lines.AddRange(snapshot.Users.Values.Select(u => $"user {u.Id} {u.Email} {u.Role} {string.Join(',', u.Groups.Order(StringComparer.Ordinal))}"));
        lines.AddRange(snapshot.Keys.Select(k => $"key {k.Key} {k.Value}"));
        lines.AddRange(snapshot.SocketsByName.Select(s => $"socket {s.Key} {s.Value.Id} {ReferenceEquals(snapshot.Sockets[s.Value.Id], s.Value)} {string.Join(',', s.Value.Facts.Tags)} {s.Value.Target?.Hosts[0]} {s.Value.SealedSecrets?.Length} {string.Join(',', s.Value.HostKeys)} {s.Value.RecordingEnabled} {string.Join(',', s.Value.Connectors)}"));
        lines.AddRange(snapshot.SocketsByAddress.Select(s => $"address {s.Key} {s.Value.Id} {ReferenceEquals(snapshot.Sockets[s.Value.Id], s.Value)}"));
        lines.AddRange(snapshot.Devices.Values.Select(d => $"device {d.Id} {d.UserId} {d.Name} {d.PublicKey} {string.Join(',', d.Addresses)} {d.LoginValidUntil:O} {d.SealedPresharedKey?.Length}"));
        lines.AddRange(snapshot.ConnectorTokens.Select(t => $"token {t.Key} {t.Value}"));
        foreach (var user in snapshot.Users.Values)
        {
            lines.AddRange(snapshot.Sockets.Values
                .Select(s => (Socket: s.Id, Decision: snapshot.Policies.Evaluate(new AccessRequest(user.Subject, s.Facts, IPAddress.Loopback, null, DateTimeOffset.UnixEpoch, new AccessAction.Connect("ubuntu"), Guid.Empty))))
                .Select(d => $"decision {user.Id} {d.Socket} {d.Decision.Allowed} {d.Decision.PolicyName} {d.Decision.PolicyVersion}"));
        }

        return string.Join('\n', lines.Order(StringComparer.Ordinal));
    }

    private async Task ExecuteAsync(string sql, Guid id)
    {
        await using var connection = await postgres.DataSource.OpenConnectionAsync();
        await connection.ExecuteAsync(sql, Arguments(id));
    }

    private object Arguments(Guid id) => new { org = Organization, id, CaLine, n = Interlocked.Increment(ref _salt) };

    // Another one each time, and of the same rows always the same one.
    private static string One(string table, string id) => $"(SELECT {id} FROM {table} WHERE organization_id = @org ORDER BY md5({id}::text || @n) LIMIT 1)";

    // One of the first, which have everything that can belong to them.
    private static string Full(string table, string id) => table switch
    {
        "device" => "(SELECT device_id FROM device JOIN device_address USING (device_id) WHERE organization_id = @org AND revoked_at IS NULL ORDER BY address_index LIMIT 1)",
        "app_user" => "(SELECT user_id FROM app_user WHERE organization_id = @org ORDER BY (SELECT count(*) FROM user_ssh_key k WHERE k.user_id = app_user.user_id) + (SELECT count(*) FROM device d WHERE d.user_id = app_user.user_id) DESC, email LIMIT 1)",
        "connector" => "(SELECT connector_id FROM connector WHERE organization_id = @org ORDER BY (SELECT count(*) FROM connector_token t WHERE t.connector_id = connector.connector_id) DESC, name LIMIT 1)",
        _ => $"(SELECT {id} FROM {table} WHERE organization_id = @org ORDER BY (SELECT count(*) FROM policy_socket p WHERE p.{id} = {table}.{id}) DESC, name LIMIT 1)",
    };

    private static string Policy(string email) =>
        $$"""jsonb_build_object('permissions', '{"ssh":{"shell":{} } }'::jsonb, 'condition', jsonb_build_object('who', jsonb_build_object('email', jsonb_build_array('{{email}}', (SELECT min(email) FROM app_user WHERE organization_id = @org)))))""";
}
