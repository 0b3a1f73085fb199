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
        await connection.ExecuteAsync(new CommandDefinition(
            "UPDATE connector SET last_seen_at = now(), metadata = @metadata::jsonb WHERE connector_id = @ConnectorId",
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

    private static string Cut(string? text) => text is null ? "" : text.Length <= MaxText ? text : text[..MaxText];
}

/// <summary>The column connector.metadata. <see cref="SshHostKey"/> is what a gateway expects of the built-in SSH service.</summary>
internal sealed record ConnectorMetadata(string Version, string Host, string Os, string Address, string Silo, string? SshHostKey, IReadOnlyList<string>? SshUsers);

/// <summary>Serializer of <see cref="ConnectorMetadata"/>: snake_case.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ConnectorMetadata))]
internal sealed partial class ConnectorMetadataJson : JsonSerializerContext;
