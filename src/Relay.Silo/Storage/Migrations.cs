using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>
/// Applies the numbered SQL files of this assembly, each once and in its own transaction.
/// Safe when several silos start at once: an advisory lock lets one work while the others wait. Safe beside silos that serve: a file that
/// does not get its tables soon lets those pass who wait behind it, and is tried again.
/// </summary>
internal static partial class Migrations
{
    // Any constant will do; it must never change. ASCII "RELAYMIG".
    private const long LockKey = 0x52454C41594D4947;

    /// <summary>Brings the database to this version's schema.</summary>
    /// <exception cref="StorageException">The database was written by a newer version, an applied file was changed since, or somebody keeps a table locked.</exception>
    public static Task ApplyAsync(NpgsqlDataSource database, ILogger logger, CancellationToken cancellationToken) =>
        ApplyAsync(database, Embedded(), MigrationPatience.Default, TimeProvider.System, logger, cancellationToken);

    /// <inheritdoc cref="ApplyAsync(NpgsqlDataSource, ILogger, CancellationToken)"/>
    /// <param name="known">The files, in order.</param>
    /// <param name="patience">With whoever holds a lock.</param>
    internal static async Task ApplyAsync(NpgsqlDataSource database, IReadOnlyList<Migration> known, MigrationPatience patience, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var refused = 0;
        while (true)
        {
            var next = new Attempt();
            try
            {
                if (!await ApplyNextAsync(connection, known, patience, next, cancellationToken))
                    return;
                LogApplied(logger, next.Name);
                refused = 0;
            }
            catch (PostgresException e) when (next.Name.Length > 0 && e.SqlState is PostgresErrorCodes.LockNotAvailable or PostgresErrorCodes.DeadlockDetected)
            {
                if (++refused == patience.Attempts)
                    throw new StorageException($"database migration {next.Name} did not get its tables in {refused} attempts: a transaction that stays open locks them; find it in pg_stat_activity, end it, start again. Nothing was changed ({e.MessageText})", e);
                if (refused == 1)
                    LogWaiting(logger, next.Name, e.MessageText);
                // Not all silos at once, and longer than those need who waited behind this one.
                await Task.Delay(patience.Pause * (1 + Random.Shared.NextDouble()), time, cancellationToken);
            }
        }
    }

    /// <summary>The migrations of this assembly, in order.</summary>
    internal static IReadOnlyList<Migration> Embedded()
    {
        const string Prefix = "migrations/";
        var assembly = Assembly.GetExecutingAssembly();
        var found = new List<Migration>();
        foreach (var resource in assembly.GetManifestResourceNames().Where(n => n.StartsWith(Prefix, StringComparison.Ordinal)))
        {
            using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!, Encoding.UTF8);
            var sql = reader.ReadToEnd();
            var name = resource[Prefix.Length..];
            var sha256 = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(sql)));
            found.Add(new Migration(int.Parse(name.AsSpan(0, 4), CultureInfo.InvariantCulture), name, sha256, sql));
        }
        found.Sort((a, b) => a.Version.CompareTo(b.Version));
        return found;
    }

    // False: there was nothing left to apply.
    private static async Task<bool> ApplyNextAsync(NpgsqlConnection connection, IReadOnlyList<Migration> known, MigrationPatience patience, Attempt attempt, CancellationToken cancellationToken)
    {
        // The lock ends with the transaction, and so with a silo that stands still.
        await using var transaction = await connection.BeginBoundedAsync(BoundedTransaction.LongPatience, cancellationToken);
        await ExecuteAsync(connection, $"SELECT pg_advisory_xact_lock({LockKey})", cancellationToken);
        await ExecuteAsync(connection, """
            CREATE TABLE IF NOT EXISTS schema_migration (
              version    int PRIMARY KEY,
              name       text NOT NULL,
              sha256     text NOT NULL,
              applied_at timestamptz NOT NULL DEFAULT now()
            )
            """, cancellationToken);
        var applied = await AppliedAsync(connection, cancellationToken);
        var newest = known.Max(m => m.Version);
        if (applied.Count > 0 && applied.Keys.Max() > newest)
            throw new StorageException($"the database has schema version {applied.Keys.Max()}, this version of Relay knows {newest}: start a newer version");
        if (known.FirstOrDefault(m => applied.TryGetValue(m.Version, out var sha256) && sha256 != m.Sha256) is { } changed)
            throw new StorageException($"migration {changed.Name} was changed after it had been applied to this database");
        var next = known.FirstOrDefault(m => !applied.ContainsKey(m.Version));
        if (next is not null)
        {
            attempt.Name = next.Name;
            // SECURITY: whoever comes after a statement that waits for a lock waits behind it, even to read. Nothing may make all silos stand still.
            await ExecuteAsync(connection, string.Create(CultureInfo.InvariantCulture, $"SET LOCAL lock_timeout = {patience.Lock.TotalMilliseconds:0}"), cancellationToken);
            await ExecuteAsync(connection, next.Sql, cancellationToken);
            await using var record = new NpgsqlCommand("INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3)", connection, transaction)
            {
                Parameters = { new() { Value = next.Version }, new() { Value = next.Name }, new() { Value = next.Sha256 } },
            };
            await record.ExecuteNonQueryAsync(cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
        return next is not null;
    }

    private static async Task<Dictionary<int, string>> AppliedAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        var applied = new Dictionary<int, string>();
        await using var command = new NpgsqlCommand("SELECT version, sha256 FROM schema_migration", connection);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
            applied.Add(reader.GetInt32(0), reader.GetString(1));
        return applied;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        // Another silo may hold the lock for as long as its migrations take.
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        await command.ExecuteNonQueryAsync(cancellationToken);
    }

    [LoggerMessage(2010, LogLevel.Information, "database migration applied: {Name}")]
    private static partial void LogApplied(ILogger logger, string name);

    [LoggerMessage(2011, LogLevel.Warning, "database migration {Name} waits until its tables are not locked: {Reason}")]
    private static partial void LogWaiting(ILogger logger, string name, string reason);

    // Which file an attempt came to; empty: it waited for another silo's.
    private sealed class Attempt
    {
        public string Name { get; set; } = "";
    }
}

/// <summary>One numbered SQL file; <paramref name="Version"/> is the number its name starts with.</summary>
internal sealed record Migration(int Version, string Name, string Sha256, string Sql);

/// <summary>How long a migration stands in the way of silos that serve.</summary>
/// <param name="Lock">The longest that one of its statements waits for a lock, and everybody who needs that table with it.</param>
/// <param name="Pause">At least between two attempts.</param>
/// <param name="Attempts">Then the start fails.</param>
internal sealed record MigrationPatience(TimeSpan Lock, TimeSpan Pause, int Attempts)
{
    /// <summary>Some two minutes. The lock is given up before the server would look for a deadlock (1 s), so that nobody else is ended for one.</summary>
    public static MigrationPatience Default { get; } = new(TimeSpan.FromMilliseconds(800), TimeSpan.FromSeconds(1.5), 40);
}
