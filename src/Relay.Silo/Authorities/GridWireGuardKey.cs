using System.Security.Cryptography;
using Dapper;
using Npgsql;
using Relay.Protocol.WireGuard;
using Relay.Silo.Secrets;

namespace Relay.Silo.Authorities;

/// <summary>The WireGuard key of the grid, made by the first silo that finds none: in a new grid, or one that an older version has set up.</summary>
internal static class GridWireGuardKey
{
    /// <summary>Where it is sealed.</summary>
    public static SecretPlace Place(Guid gridId) => SecretPlace.Grid("wireguard_key", gridId);

    /// <summary>Makes the key unless there is one; of silos that start at once one makes it.</summary>
    public static async Task EnsureAsync(NpgsqlDataSource database, SecretVault vault, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        if (await connection.QuerySingleOrDefaultAsync<Guid?>(new CommandDefinition("SELECT grid_id FROM grid WHERE wireguard_key IS NULL", cancellationToken: cancellationToken)) is not { } gridId)
            return;
        var scalar = WireGuardPrivateKey.Generate();
        var value = vault.Seal(Place(gridId), scalar);
        CryptographicOperations.ZeroMemory(scalar);
        await connection.ExecuteAsync(new CommandDefinition("UPDATE grid SET wireguard_key = @value WHERE wireguard_key IS NULL", new { value }, cancellationToken: cancellationToken));
    }
}
