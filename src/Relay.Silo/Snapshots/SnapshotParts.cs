using System.Data;
using Dapper;
using Npgsql;
using Relay.Silo.Storage;

namespace Relay.Silo.Snapshots;

/// <summary>
/// Reads an organization's rows in one snapshot of the database, and of them only the parts that were changed since they were read
/// last: the database notes which (<c>organization_part</c>). A new column here wants its trigger there. Not thread-safe.
/// </summary>
internal sealed class SnapshotParts
{
    private readonly Guid _organizationId;
    private readonly SnapshotRows? _known;
    private readonly NpgsqlTransaction _transaction;
    private readonly CancellationToken _cancellation;
    private IReadOnlyDictionary<string, string> _stamps = new Dictionary<string, string>();

    private SnapshotParts(Guid organizationId, SnapshotRows? known, NpgsqlTransaction transaction, CancellationToken cancellation) =>
        (_organizationId, _known, _transaction, _cancellation) = (organizationId, known, transaction, cancellation);

    /// <summary>The rows; null: the organization is gone.</summary>
    /// <param name="known">As read before, of the same organization: its lists are taken for what was not changed. Null: everything is read.</param>
    public static async Task<SnapshotRows?> ReadAsync(NpgsqlDataSource database, Guid organizationId, SnapshotRows? known, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        // One snapshot of the database for all reads: a version with half of another one's rows would be a lie.
        await using var transaction = await connection.BeginBoundedAsync(BoundedTransaction.LongPatience, cancellationToken, IsolationLevel.RepeatableRead);
        return await new SnapshotParts(organizationId, known, transaction, cancellationToken).ReadAsync();
    }

    private async Task<SnapshotRows?> ReadAsync()
    {
        // Another server may have counted to the same numbers.
        _stamps = (await QueryAsync<(string Part, string ChangedBy)>(
            """
            SELECT part, changed_by::text FROM organization_part WHERE organization_id = @organizationId
            UNION ALL SELECT 'server', pg_postmaster_start_time()::text
            """)).ToDictionary(r => r.Part, r => r.ChangedBy);
        var heads = await QueryAsync<SnapshotRows.HeadRow>("SELECT organization_id, name, version, user_ca_public FROM organization WHERE organization_id = @organizationId");
        return heads.Count == 0 ? null : new SnapshotRows
        {
            Head = heads[0],
            Stamps = _stamps,
            Users = await PartAsync("users", k => k.Users, "SELECT user_id, email, role FROM app_user WHERE organization_id = @organizationId"),
            Members = await PartAsync("members", k => k.Members, "SELECT m.user_id, g.group_id, g.display_name FROM group_member m JOIN user_group g USING (group_id) WHERE g.organization_id = @organizationId"),
            Keys = await PartAsync("keys", k => k.Keys, "SELECT k.fingerprint, k.user_id FROM user_ssh_key k JOIN app_user u USING (user_id) WHERE u.organization_id = @organizationId"),
            Sockets = await PartAsync("sockets", k => k.Sockets, "SELECT socket_id, name, socket_type, tags, recording_enabled, upstream, upstream_secrets, host_keys, resource_index FROM socket WHERE organization_id = @organizationId"),
            Connectors = await PartAsync("connectors", k => k.Connectors, "SELECT s.socket_id, c.connector_id, c.name, nullif(c.metadata->>'ssh_host_key', '') AS ssh_host_key FROM socket_connector s JOIN connector c USING (connector_id) WHERE c.organization_id = @organizationId ORDER BY c.name"),
            Tokens = await PartAsync("tokens", k => k.Tokens, "SELECT t.token_id, t.revoked_at IS NOT NULL AS revoked, t.expires_at FROM connector_token t JOIN connector c USING (connector_id) WHERE c.organization_id = @organizationId"),
            Policies = await PartAsync("policies", k => k.Policies, "SELECT policy_id, name, org_wide, policy_data, tag_rules, expires_at FROM policy WHERE organization_id = @organizationId"),
            Attachments = await PartAsync("attachments", k => k.Attachments, "SELECT p.policy_id, p.socket_id FROM policy_socket p JOIN policy USING (policy_id) WHERE organization_id = @organizationId"),
            Devices = await PartAsync("devices", k => k.Devices, "SELECT d.device_id, d.user_id, d.name, d.public_key, d.preshared_key, d.login_valid_until, a.address_index FROM device d JOIN device_address a USING (device_id) WHERE d.organization_id = @organizationId AND d.revoked_at IS NULL AND a.released_at IS NULL"),
        };
    }

    // What is not in the table was not changed since there is one, by nobody: no row and no row are the same.
    private async Task<IReadOnlyList<T>> PartAsync<T>(string part, Func<SnapshotRows, IReadOnlyList<T>> of, string sql) =>
        _known is { Stamps: { } stamps } && Same(stamps, "server") && Same(stamps, part) ? of(_known) : await QueryAsync<T>(sql);

    private bool Same(IReadOnlyDictionary<string, string> stamps, string name) => stamps.GetValueOrDefault(name) == _stamps.GetValueOrDefault(name);

    private async Task<List<T>> QueryAsync<T>(string sql) =>
        (await _transaction.Connection!.QueryAsync<T>(new CommandDefinition(sql, new { organizationId = _organizationId }, _transaction, cancellationToken: _cancellation))).AsList();
}
