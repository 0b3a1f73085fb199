using System.Globalization;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>
/// Applies the numbered SQL files of this assembly, each once and in its own transaction.
/// Safe when several silos start at once: an advisory lock lets one work while the others wait.
/// </summary>
internal static partial class Migrations
{
    // Any constant will do; it must never change. ASCII "RELAYMIG".
    private const long LockKey = 0x52454C41594D4947;

    /// <summary>Brings the database to this version's schema.</summary>
    /// <exception cref="StorageException">The database was written by a newer version, or an applied file was changed since.</exception>
    public static async Task ApplyAsync(NpgsqlDataSource database, ILogger logger, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var known = Embedded();
        while (await ApplyNextAsync(connection, known, cancellationToken) is { } applied)
            LogApplied(logger, applied.Name);
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

    // Null: there was nothing left to apply.
    private static async Task<Migration?> ApplyNextAsync(NpgsqlConnection connection, IReadOnlyList<Migration> known, CancellationToken cancellationToken)
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
            await ExecuteAsync(connection, next.Sql, cancellationToken);
            await using var record = new NpgsqlCommand("INSERT INTO schema_migration (version, name, sha256) VALUES ($1, $2, $3)", connection, transaction)
            {
                Parameters = { new() { Value = next.Version }, new() { Value = next.Name }, new() { Value = next.Sha256 } },
            };
            await record.ExecuteNonQueryAsync(cancellationToken);
        }

        await transaction.CommitAsync(cancellationToken);
        return next;
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
}

/// <summary>One numbered SQL file; <paramref name="Version"/> is the number its name starts with.</summary>
internal sealed record Migration(int Version, string Name, string Sha256, string Sql);
