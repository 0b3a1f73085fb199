using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>Asks the store whether it is there.</summary>
internal interface IStoreProbe
{
    /// <summary>Returns when a store that takes writes has answered; throws whatever went wrong. One call at a time, but for calls that were given up.</summary>
    Task AskAsync(CancellationToken cancellationToken);
}

/// <summary>
/// Asks over one connection of its own: a pool whose connections are all busy is not an outage. A standby answers too, but takes no
/// writes, so it does not count.
/// </summary>
internal sealed class StoreProbe(NpgsqlDataSource unpooled) : IStoreProbe, IAsyncDisposable
{
    private NpgsqlConnection? _connection;

    public async Task AskAsync(CancellationToken cancellationToken)
    {
        // Taken, not shared: a call that was given up must not have its connection used by the next one.
        var connection = Interlocked.Exchange(ref _connection, null);
        try
        {
            connection ??= await unpooled.OpenConnectionAsync(cancellationToken);
            await using var command = new NpgsqlCommand("SELECT pg_is_in_recovery()", connection);
            if (await command.ExecuteScalarAsync(cancellationToken) is not false)
                throw new NpgsqlException("the database is a standby");
            connection = Interlocked.Exchange(ref _connection, connection);
        }
        finally
        {
            if (connection is not null)
                await connection.DisposeAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _connection, null) is { } connection)
            await connection.DisposeAsync();
        await unpooled.DisposeAsync();
    }
}
