using System.Text.Json;
using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Policy;
using Relay.Protocol.Tunnel;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Api.Resources;

/// <summary>Reads sockets as the API shows them.</summary>
internal static class SocketRows
{
    /// <summary>Columns of a <see cref="SocketRow"/>, FROM included.</summary>
    public const string Select = """
        SELECT s.socket_id, s.name, s.display_name, s.description, s.socket_type, s.tags, s.recording_enabled, s.upstream, s.upstream_secrets, s.host_keys, s.version, s.created_at
        FROM socket s
        """;

    /// <summary>The names that clients use.</summary>
    public static string DnsName(string socket) => $"{socket}.relay";

    public static async Task<SocketResource> ReadAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, Guid id, CancellationToken cancellationToken)
    {
        var row = await connection.QuerySingleAsync<SocketRow>(new CommandDefinition(Select + " WHERE s.socket_id = @id", new { id }, transaction, cancellationToken: cancellationToken));
        return (await DescribeAsync(connection, transaction, [row], cancellationToken))[0];
    }

    public static async Task<IReadOnlyList<SocketResource>> DescribeAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, IReadOnlyList<SocketRow> rows, CancellationToken cancellationToken)
    {
        var ids = new { ids = rows.Select(r => r.SocketId).ToArray() };
        var connectors = (await connection.QueryAsync<ConnectorRow>(new CommandDefinition("""
            SELECT x.socket_id, c.connector_id, c.name, t.is_connected, c.last_seen_at
            FROM socket_connector x JOIN connector c USING (connector_id) JOIN connector_status t USING (connector_id)
            WHERE x.socket_id = ANY(@ids) ORDER BY lower(c.name)
            """, ids, transaction, cancellationToken: cancellationToken))).ToLookup(c => c.SocketId);
        var policies = (await connection.QueryAsync<(Guid SocketId, Guid PolicyId, string Name)>(new CommandDefinition(
            "SELECT x.socket_id, p.policy_id, p.name FROM policy_socket x JOIN policy p USING (policy_id) WHERE x.socket_id = ANY(@ids) ORDER BY p.name",
            ids, transaction, cancellationToken: cancellationToken))).ToLookup(p => p.SocketId, p => new NamedRef(p.PolicyId, p.Name));
        var failing = (await connection.QueryAsync<(Guid SocketId, Guid ConnectorId, string Target, string Reason)>(new CommandDefinition(
            "SELECT x.socket_id, f.connector_id, f.target, f.reason FROM socket_connector x JOIN failing_target f USING (connector_id) WHERE x.socket_id = ANY(@ids)",
            ids, transaction, cancellationToken: cancellationToken))).ToLookup(f => f.SocketId, f => new FailingRow(f.ConnectorId, f.Target, f.Reason));
        return [.. rows.Select(r => Describe(r, [.. connectors[r.SocketId]], [.. policies[r.SocketId]], [.. failing[r.SocketId]]))];
    }

    public static UpstreamConfiguration Configuration(SocketRow row) => JsonSerializer.Deserialize(row.Upstream, ApiJson.Default.UpstreamConfiguration)!;

    /// <summary>What goes into the column: no secret is in the type, only whether there is one.</summary>
    public static string Store(UpstreamConfiguration configuration) => JsonSerializer.Serialize(configuration, ApiJson.Default.UpstreamConfiguration);

    public static Dictionary<string, string> Tags(string json) => JsonNode.Parse(json)!.AsObject().ToDictionary(p => p.Key, p => p.Value!.GetValue<string>());

    /// <summary>The socket as the evaluator takes it.</summary>
    public static SocketFacts Facts(SocketRow row)
    {
        var ssh = Configuration(row).SshServiceConfiguration;
        // Null: the client chooses. Empty: the connector's own user.
        var username = ssh?.UsernameProvider switch { "defined" => ssh.Username, "use_connector_user" => "", _ => null };
        return new SocketFacts(row.SocketId, row.Name, row.SocketType, Tags(row.Tags), username);
    }

    /// <summary>Whether the socket works now, and which part does not (product flow J: say which).</summary>
    private static (bool Alive, string Reason) Health(IReadOnlyList<ConnectorRow> connectors, SocketHost[] hosts, bool hasPolicy)
    {
        if (connectors.Count == 0)
            return (false, "no connector serves this socket");
        var down = hosts.Where(h => !h.Healthy).ToArray();
        if (connectors.Any(c => c.IsConnected) && down.Length > 0)
            return (down.Length < hosts.Length, down.Length == 1 ? $"{down[0].Host}: {down[0].Reason}" : $"{down.Length} of {hosts.Length} hosts are not reached: {string.Join(", ", down.Select(h => h.Host))}");
        if (connectors.Any(c => c.IsConnected))
            return (true, hasPolicy ? "" : "no policy is attached: only organization-wide policies and tag rules admit anyone");
        return (false, connectors.Count == 1 ? $"connector {connectors[0].Name} is offline" : $"all {connectors.Count} connectors are offline");
    }

    private static SocketHost Describe(StreamTarget target, IReadOnlyList<ConnectorRow> connectors, IReadOnlyList<FailingRow> failing)
    {
        var online = connectors.Where(c => c.IsConnected).ToArray();
        var host = target.Address;
        var against = failing.Where(f => f.Target == target.Key && online.Any(c => c.ConnectorId == f.ConnectorId)).ToArray();
        return online.Length == 0
            ? new SocketHost(host, false, "no connector is online")
            : new SocketHost(host, against.Length < online.Length, against.Length == 0 ? "" : string.Join("; ", against.Select(f =>
                online.Length == 1 ? f.Reason : $"{online.First(c => c.ConnectorId == f.ConnectorId).Name}: {f.Reason}")));
    }

    private static SocketResource Describe(SocketRow row, IReadOnlyList<ConnectorRow> connectors, IReadOnlyList<NamedRef> policies, IReadOnlyList<FailingRow> failing)
    {
        var hosts = SocketTarget.TryRead(row.Upstream) is { IsBuiltIn: false } target ? target.Hosts.Select(h => Describe(h, connectors, failing)).ToArray() : [];
        var (alive, reason) = Health(connectors, hosts, policies.Count > 0);
        return new SocketResource
        {
            SocketId = row.SocketId,
            Name = row.Name,
            DisplayName = row.DisplayName,
            Description = row.Description,
            SocketType = row.SocketType,
            Dnsname = DnsName(row.Name),
            Tags = Tags(row.Tags),
            RecordingEnabled = row.RecordingEnabled,
            UpstreamConfiguration = Configuration(row),
            Connectors = [.. connectors.Select(c => new SocketConnector(c.ConnectorId, c.Name, c.IsConnected))],
            Policies = policies,
            Hosts = hosts,
            Alive = alive,
            StatusReason = reason,
            LastSeen = connectors.Max(c => c.LastSeenAt),
            HostKeys = row.HostKeys,
            Version = row.Version,
            CreatedAt = row.CreatedAt,
        };
    }

    private sealed record FailingRow(Guid ConnectorId, string Target, string Reason);

    private sealed class ConnectorRow
    {
        public Guid SocketId { get; init; }

        public Guid ConnectorId { get; init; }

        public string Name { get; init; } = "";

        public bool IsConnected { get; init; }

        public DateTimeOffset? LastSeenAt { get; init; }
    }
}

/// <summary>A row of the table.</summary>
internal sealed class SocketRow
{
    public Guid SocketId { get; init; }

    public string Name { get; init; } = "";

    public string DisplayName { get; init; } = "";

    public string Description { get; init; } = "";

    public string SocketType { get; init; } = "";

    public string Tags { get; init; } = "{}";

    public bool RecordingEnabled { get; init; }

    public string Upstream { get; init; } = "{}";

    public byte[]? UpstreamSecrets { get; init; }

    public string[] HostKeys { get; init; } = [];

    public long Version { get; init; }

    public DateTimeOffset CreatedAt { get; init; }
}
