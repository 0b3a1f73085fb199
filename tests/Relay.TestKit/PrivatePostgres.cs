using System.Globalization;
using Npgsql;
using Relay.Silo.Storage;

namespace Relay.TestKit;

/// <summary>
/// A fresh, migrated database of its own on the test process's one private PostgreSQL.
/// Use as a class fixture, or create one per test (about 30 ms). Caller disposes.
/// </summary>
public sealed class PrivatePostgres : IDisposable, IAsyncDisposable
{
    private static int _count;

    /// <summary>Blocks while the database is made: fixtures are constructed synchronously.</summary>
    public PrivatePostgres()
    {
        ConnectionString = Task.Run(() => CreateDatabaseAsync(migrated: true)).GetAwaiter().GetResult();
        DataSource = RelayDatabase.CreateDataSource(ConnectionString);
    }

    private PrivatePostgres(string connectionString)
    {
        ConnectionString = connectionString;
        DataSource = RelayDatabase.CreateDataSource(connectionString);
    }

    /// <summary>For RELAY_DATABASE of child processes and for data sources of one's own.</summary>
    public string ConnectionString { get; }

    /// <summary>Connections to this database.</summary>
    public NpgsqlDataSource DataSource { get; }

    /// <summary>A fresh database; with <paramref name="migrated"/> false it is empty.</summary>
    public static async Task<PrivatePostgres> CreateAsync(bool migrated = true) => new(await CreateDatabaseAsync(migrated));

    /// <summary>Everything in the database as SQL text, as a thief of a backup would have it.</summary>
    public async Task<string> DumpAsync(CancellationToken cancellationToken)
    {
        var programs = PostgresPrograms.Find();
        var builder = new NpgsqlConnectionStringBuilder(ConnectionString);
        var start = programs.Command("pg_dump", ["-h", builder.Host!, "-U", builder.Username!, "--inserts", builder.Database!]);
        start.RedirectStandardOutput = true;
        using var process = System.Diagnostics.Process.Start(start)!;
        var text = await process.StandardOutput.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return process.ExitCode == 0 ? text : throw new InvalidOperationException("pg_dump failed");
    }

    /// <inheritdoc/>
    public void Dispose() => DataSource.Dispose();

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => DataSource.DisposeAsync();

    private static async Task<string> CreateDatabaseAsync(bool migrated)
    {
        var server = await PostgresServer.Current;
        var name = "t" + Interlocked.Increment(ref _count).ToString(CultureInfo.InvariantCulture);
        await server.CreateDatabaseAsync(name, migrated ? "relay_template" : null, CancellationToken.None);
        return server.ConnectionString(name);
    }
}
