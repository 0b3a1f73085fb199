using Dapper;
using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>Addresses of what is up: silos by their membership rows, gateways by their own. Safe for concurrent use.</summary>
internal sealed class SiloDirectory(NpgsqlDataSource database, StoreHealth health)
{
    private volatile IReadOnlyList<string> _grid = [];
    private volatile IReadOnlyList<string> _connectors = [];

    /// <summary>"host:port" where connectors dial the active silos, oldest first. While the store is away: as it was.</summary>
    public async Task<IReadOnlyList<string>> ConnectorAddressesAsync(CancellationToken cancellationToken) =>
        _connectors = await AddressesAsync(_connectors, "SELECT connector_address FROM silo_member WHERE status = 'active' AND connector_address <> '' AND alive_at > now() - interval '1 minute' ORDER BY generation", cancellationToken);

    /// <summary>"host:port" grid addresses of the active silos, oldest first. While the store is away: as it was.</summary>
    public async Task<IReadOnlyList<string>> GridAddressesAsync(CancellationToken cancellationToken) =>
        _grid = await AddressesAsync(_grid, "SELECT address FROM silo_member WHERE status = 'active' AND alive_at > now() - interval '1 minute' ORDER BY generation", cancellationToken);

    /// <summary>A gateway spoke to this silo. Call at its introduction and then every few seconds.</summary>
    /// <param name="wireguardAddress">"host:port" that devices send to; empty: it has no WireGuard.</param>
    /// <param name="wireguardMtu">Of its tunnels, in bytes; 0: it does not say.</param>
    /// <param name="silo">This silo's advertised grid address.</param>
    public Task GatewaySeenAsync(string name, string sshAddress, string wireguardAddress, int wireguardMtu, string version, string silo, CancellationToken cancellationToken) => health.RunAsync(async cancellation =>
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(new CommandDefinition("""
            WITH known AS (
              INSERT INTO gateway (name, ssh_address, wireguard_address, wireguard_mtu, version, silo) VALUES (@name, @sshAddress, @wireguardAddress, @wireguardMtu, @version, @silo)
              ON CONFLICT (name) DO UPDATE SET ssh_address = excluded.ssh_address, wireguard_address = excluded.wireguard_address, wireguard_mtu = excluded.wireguard_mtu, version = excluded.version, silo = excluded.silo, last_seen_at = now()
            ), forgotten AS (
              DELETE FROM gateway_sighting WHERE last_seen_at < now() - interval '1 day'
            )
            INSERT INTO gateway_sighting (name, silo) VALUES (@name, @silo)
            ON CONFLICT (name, silo) DO UPDATE SET last_seen_at = now()
            """, new { name, sshAddress, wireguardAddress, wireguardMtu, version, silo }, cancellationToken: cancellation));
    }, cancellationToken);

    /// <summary>A gateway does not listen to this silo any more; unless another one has it, it is not listed until it speaks again.</summary>
    /// <param name="silo">This silo's advertised grid address.</param>
    public Task GatewayGoneAsync(string name, string silo, CancellationToken cancellationToken) => health.RunAsync(async cancellation =>
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        // In the gateway's own row for silos of the version before, which know no sightings.
        await connection.ExecuteAsync(new CommandDefinition("""
            WITH gone AS (
              DELETE FROM gateway_sighting WHERE name = @name AND silo = @silo
            )
            UPDATE gateway SET last_seen_at = last_seen_at - interval '1 minute' WHERE name = @name AND silo = @silo
            """, new { name, silo }, cancellationToken: cancellation));
    }, cancellationToken);

    /// <summary>Gateways heard of within the last minute, latest first.</summary>
    public async Task<IReadOnlyList<GatewayRow>> GatewaysAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var rows = await connection.QueryAsync<GatewayRow>(new CommandDefinition("""
            SELECT name, ssh_address, wireguard_address, wireguard_mtu, version, silo, last_seen_at FROM (
              SELECT g.name, g.ssh_address, g.wireguard_address, g.wireguard_mtu, g.version, g.silo, greatest(g.last_seen_at, (SELECT max(s.last_seen_at) FROM gateway_sighting s WHERE s.name = g.name)) AS last_seen_at
              FROM gateway g) seen
            WHERE last_seen_at > now() - interval '1 minute' ORDER BY last_seen_at DESC, name
            """, cancellationToken: cancellationToken));
        return rows.AsList();
    }

    private async Task<IReadOnlyList<string>> AddressesAsync(IReadOnlyList<string> last, string sql, CancellationToken cancellationToken)
    {
        try
        {
            return await health.RunAsync(async cancellation =>
            {
                await using var connection = await database.OpenConnectionAsync(cancellation);
                return (await connection.QueryAsync<string>(new CommandDefinition(sql, cancellationToken: cancellation))).Distinct().ToArray();
            }, cancellationToken);
        }
        catch (StoreUnavailableException)
        {
            return last;
        }
    }
}

/// <summary>A gateway as it last introduced itself.</summary>
internal sealed record GatewayRow
{
    public string Name { get; init; } = "";

    public string SshAddress { get; init; } = "";

    public string WireguardAddress { get; init; } = "";

    public int WireguardMtu { get; init; }

    public string Version { get; init; } = "";

    public string Silo { get; init; } = "";

    public DateTimeOffset LastSeenAt { get; init; }
}
