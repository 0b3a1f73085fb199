using System.Text.Json.Serialization;
using System.Text.Json;
using Dapper;
using Npgsql;
using Relay.Protocol.Tunnel;
using Relay.Silo.Hosting;

namespace Relay.Silo.Connectors;

/// <summary>What the store keeps about connectors for people to see. Safe for concurrent use; throws NpgsqlException.</summary>
internal sealed class ConnectorRecords
{
    private const int MaxText = 255;
    private const int MaxUsers = 64;

    private readonly NpgsqlDataSource _database;
    private readonly SiloIdentity _self;

    public ConnectorRecords(NpgsqlDataSource database, SiloIdentity self)
    {
        _database = database;
        _self = self;
    }

    /// <summary>Writes last_seen_at and metadata; returns "host:port" where connectors dial the active silos, oldest first.</summary>
    public async Task<IReadOnlyList<string>> AttachedAsync(AdmittedConnector connector, ConnectorLease lease, AttachRequest request, CancellationToken cancellationToken)
    {
        // The agent's own words: bounded, and shown as such.
        var metadata = JsonSerializer.Serialize(
            new ConnectorMetadata(
                Cut(request.Version), Cut(request.Host), Cut(request.Os), lease.AgentAddress, _self.Name,
                request.SshHostKey is { Length: <= 8192 } key ? key : null, request.SshUsers?.Take(MaxUsers).Select(u => Cut(u)).ToArray()),
            ConnectorMetadataJson.Default.ConnectorMetadata);
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);

        // A host key that changed is something sessions are opened by: every silo must have it in its snapshot.
        await connection.ExecuteAsync(new CommandDefinition(
            """
            WITH former AS (
              SELECT connector_id, organization_id, metadata->>'ssh_host_key' AS host_key FROM connector WHERE connector_id = @ConnectorId
            ), seen AS (
              UPDATE connector SET last_seen_at = now(), metadata = @metadata::jsonb WHERE connector_id = @ConnectorId
            ), bumped AS (
              UPDATE organization o SET version = version + 1 FROM former f
              WHERE o.organization_id = f.organization_id AND f.host_key IS DISTINCT FROM @metadata::jsonb->>'ssh_host_key'
              RETURNING o.organization_id
            )
            SELECT pg_notify('relay_org', organization_id::text) FROM bumped
            """,
            new { metadata, connector.ConnectorId },
            cancellationToken: cancellationToken));
        var silos = await connection.QueryAsync<string>(new CommandDefinition(
            "SELECT connector_address FROM silo_member WHERE status = 'active' AND connector_address <> '' AND alive_at > now() - interval '1 minute' ORDER BY generation LIMIT 64",
            cancellationToken: cancellationToken));
        return [.. silos.Distinct()];
    }

    /// <summary>These connectors are connected now.</summary>
    public async Task SeenAsync(IReadOnlyCollection<Guid> connectorIds, CancellationToken cancellationToken)
    {
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        await connection.ExecuteAsync(new CommandDefinition(
            "UPDATE connector SET last_seen_at = now() WHERE connector_id = ANY (@ids)", new { ids = connectorIds.ToArray() }, cancellationToken: cancellationToken));
    }

    /// <summary>Which of these tokens must not be used any more, and why, for a silo that cannot look itself; a token without a row went with its connector.</summary>
    public async Task<IReadOnlyDictionary<Guid, (string Code, string Message)>> LostTokensAsync(IReadOnlyCollection<Guid> tokenIds, CancellationToken cancellationToken)
    {
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        var rows = await connection.QueryAsync<LostToken>(new CommandDefinition(
            """
            SELECT asked.token_id, t.token_id IS NULL AS deleted, t.revoked_at IS NOT NULL AS revoked
            FROM unnest(@ids) AS asked (token_id) LEFT JOIN connector_token t USING (token_id)
            WHERE t.token_id IS NULL OR t.revoked_at IS NOT NULL OR t.expires_at <= now()
            """,
            new { ids = tokenIds.ToArray() },
            cancellationToken: cancellationToken));
        return rows.ToDictionary(r => r.TokenId, r =>
            r.Deleted ? (AttachCodes.ConnectorDeleted, "the connector was deleted")
            : r.Revoked ? (AttachCodes.TokenRevoked, "the connector's token was revoked")
            : (AttachCodes.TokenExpired, "the connector's token has expired"));
    }

    private static string Cut(string? text) => text is null ? "" : text.Length <= MaxText ? text : text[..MaxText];

    private sealed class LostToken
    {
        public Guid TokenId { get; init; }

        public bool Deleted { get; init; }

        public bool Revoked { get; init; }
    }
}

/// <summary>The column connector.metadata. <see cref="SshHostKey"/> is what a gateway expects of the built-in SSH service.</summary>
internal sealed record ConnectorMetadata(string Version, string Host, string Os, string Address, string Silo, string? SshHostKey, IReadOnlyList<string>? SshUsers);

/// <summary>Serializer of <see cref="ConnectorMetadata"/>: snake_case.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ConnectorMetadata))]
internal sealed partial class ConnectorMetadataJson : JsonSerializerContext;
