using Npgsql;
using Relay.Silo.Storage;

namespace Relay.Silo.GrainHosting;

/// <summary>Makes the schema that Orleans' providers work in, before Orleans starts. Safe when several silos start at once.</summary>
internal sealed class OrleansSchema(NpgsqlDataSource database) : IHostedService
{
    // Any constant will do; it must never change. ASCII "RELAYORL".
    private const long LockKey = 0x52454C41594F524C;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        using var reader = new StreamReader(typeof(OrleansSchema).Assembly.GetManifestResourceStream("orleans/schema.sql")!);
        var sql = await reader.ReadToEndAsync(cancellationToken);
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginBoundedAsync(BoundedTransaction.LongPatience, cancellationToken);
        await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({LockKey})", cancellationToken);
        await ExecuteAsync(connection, sql, cancellationToken);
        await transaction.CommitAsync(cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
