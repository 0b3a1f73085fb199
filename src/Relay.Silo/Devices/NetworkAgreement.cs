using Dapper;
using Npgsql;
using Relay.Silo.Hosting;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Devices;

/// <summary>
/// All silos of a grid give out the same addresses and names inside the tunnel, or a device's file would be right at some gateways only. Each
/// says which before it joins, one after the other, and one that differs from those that are up does not join. To be started before the
/// grain host.
/// </summary>
internal sealed class NetworkAgreement(NpgsqlDataSource database, DeviceNetwork network, SiloEndpoints endpoints, ReadOnlyStart start) : IHostedService
{
    /// <summary>Of pg_advisory locks: "relaynet" as a number, apart from the others.</summary>
    private const long LockKey = 0x72656c61796e6574;

    private readonly string _address = endpoints.Grid;
    private readonly string _network = network.ToString();

    public Task StartAsync(CancellationToken cancellationToken) => start.IsActive ? Task.CompletedTask : ClaimAsync(cancellationToken);

    /// <summary>Says what this silo gives out.</summary>
    /// <exception cref="StorageException">A silo that is up gives out something else; nothing was said.</exception>
    public async Task ClaimAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginBoundedAsync(BoundedTransaction.Patience, cancellationToken);
        await connection.ExecuteAsync(Command("SELECT pg_advisory_xact_lock(@LockKey)", new { LockKey }));

        // One that has spoken and is no member yet is about to be one; who is silent for as long counts as dead.
        var other = await connection.QueryFirstOrDefaultAsync<(string Address, string Network)?>(Command(
            """
            SELECT n.address, n.network FROM silo_network n
            WHERE n.address <> @_address AND n.network <> @_network
              AND greatest(n.said_at, (SELECT max(m.alive_at) FROM silo_member m WHERE m.address = n.address AND m.status <> 'dead')) > now() - interval '30 seconds'
            ORDER BY n.said_at LIMIT 1
            """,
            new { _address, _network }));
        if (other is { } up)
        {
            throw new StorageException(
                $"this silo would give out {_network}, and silo {up.Address}, which is up, gives out {up.Network}: RELAY_WIREGUARD_DEVICES, RELAY_WIREGUARD_RESOURCES "
                + "and RELAY_NETWORK_SUFFIX must be the same at every silo of the grid. Set them as they are there, or stop all silos and start them with the new ones");
        }

        await connection.ExecuteAsync(Command(
            """
            DELETE FROM silo_network n WHERE said_at < now() - interval '1 day' AND NOT EXISTS (SELECT 1 FROM silo_member m WHERE m.address = n.address);
            INSERT INTO silo_network (address, network) VALUES (@_address, @_network) ON CONFLICT (address) DO UPDATE SET network = excluded.network, said_at = now()
            """,
            new { _address, _network }));
        await transaction.CommitAsync(cancellationToken);

        CommandDefinition Command(string sql, object parameters) => new(sql, parameters, transaction, cancellationToken: cancellationToken);
    }

    /// <summary>The next one need not wait to see that this one is gone.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        try
        {
            await using var connection = await database.OpenConnectionAsync(cancellationToken);
            await connection.ExecuteAsync(new CommandDefinition("DELETE FROM silo_network WHERE address = @_address", new { _address }, cancellationToken: cancellationToken));
        }
        catch (Exception e) when (StoreErrors.IsOutage(e))
        {
            // Half a minute of silence says the same.
        }
    }
}
