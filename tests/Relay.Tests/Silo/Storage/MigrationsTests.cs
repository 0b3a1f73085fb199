using Dapper;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Silo.Storage;
using Relay.TestKit;
using Relay.Tests.Silo.Api;
using Xunit;

namespace Relay.Tests.Silo.Storage;

public sealed class MigrationsTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Eight_silos_starting_at_once_on_an_empty_database_all_come_up()
    {
        await using var database = await PrivatePostgres.CreateAsync(migrated: false);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Migrations.ApplyAsync(database.DataSource, NullLogger.Instance, Cancel)));
        await using var connection = await database.DataSource.OpenConnectionAsync(Cancel);
        var versions = (await connection.QueryAsync<int>("SELECT version FROM schema_migration ORDER BY version")).ToArray();
        Assert.Equal(Migrations.Embedded().Select(m => m.Version), versions);
    }

    [Fact]
    public void Numbers_are_unique_and_without_gaps()
    {
        var versions = Migrations.Embedded().Select(m => m.Version).ToArray();
        Assert.Equal(Enumerable.Range(1, versions.Length), versions);
    }

    [Fact]
    public async Task A_database_of_a_newer_version_is_refused()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        await ExecuteAsync(database, "INSERT INTO schema_migration (version, name, sha256) VALUES (9999, '9999_future.sql', 'x')");
        var refused = await Assert.ThrowsAsync<StorageException>(() => Migrations.ApplyAsync(database.DataSource, NullLogger.Instance, Cancel));
        Assert.Contains("schema version 9999", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_changed_after_it_was_applied_is_refused()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        await ExecuteAsync(database, "UPDATE schema_migration SET sha256 = 'other' WHERE version = 1");
        var refused = await Assert.ThrowsAsync<StorageException>(() => Migrations.ApplyAsync(database.DataSource, NullLogger.Instance, Cancel));
        Assert.Contains("0001_initial.sql was changed", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failed_file_leaves_nothing_behind_and_releases_the_lock()
    {
        await using var database = await PrivatePostgres.CreateAsync(migrated: false);
        // The first table of the migration is in the way, so the file fails at its start and is rolled back.
        await ExecuteAsync(database, "CREATE TABLE audit_event (x int)");
        await Assert.ThrowsAsync<Npgsql.PostgresException>(() => Migrations.ApplyAsync(database.DataSource, NullLogger.Instance, Cancel));
        await ExecuteAsync(database, "DROP TABLE audit_event");
        await Migrations.ApplyAsync(database.DataSource, NullLogger.Instance, Cancel);
        await using var connection = await database.DataSource.OpenConnectionAsync(Cancel);
        Assert.Equal(0, await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM grid"));
    }

    [Fact]
    public async Task A_locked_table_is_waited_for_while_others_pass()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        await using var other = await database.DataSource.OpenConnectionAsync(Cancel);
        await other.ExecuteAsync("BEGIN; SELECT count(*) FROM gateway");
        using var log = new CapturedLog();
        var applying = Migrations.ApplyAsync(
            database.DataSource, WithOneMore("ALTER TABLE gateway ADD COLUMN probe int"), new MigrationPatience(TimeSpan.FromMilliseconds(50), TimeSpan.FromMilliseconds(20), int.MaxValue), TimeProvider.System, log.CreateLogger("migrations"), Cancel);
        await Eventually.TrueAsync(() => log.Text.Contains("_more.sql waits until its tables are not locked", StringComparison.Ordinal), "the migration waits");

        // As long as it lasts, whoever serves waits for one attempt at most.
        for (var i = 0; i < 20; i++)
            await ExecuteAsync(database, "SELECT count(*) FROM gateway; DELETE FROM gateway");
        Assert.False(applying.IsCompleted);
        await other.ExecuteAsync("COMMIT");
        await applying.WaitAsync(TimeSpan.FromSeconds(60), Cancel);
        await ExecuteAsync(database, "SELECT probe FROM gateway");
        Assert.Single(log.Text.Split('\n'), l => l.Contains("waits", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_table_that_stays_locked_stops_the_start_with_the_reason_and_changes_nothing()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        await using var other = await database.DataSource.OpenConnectionAsync(Cancel);
        await other.ExecuteAsync("BEGIN; LOCK TABLE socket IN ACCESS SHARE MODE");
        var known = WithOneMore("ALTER TABLE gateway ADD COLUMN probe int; ALTER TABLE socket ADD COLUMN probe int");
        var failed = await Assert.ThrowsAsync<StorageException>(() => Migrations.ApplyAsync(
            database.DataSource, known, new MigrationPatience(TimeSpan.FromMilliseconds(50), TimeSpan.FromMilliseconds(5), 3), TimeProvider.System, NullLogger.Instance, Cancel));
        Assert.Contains($"{known[^1].Name} did not get its tables in 3 attempts", failed.Message, StringComparison.Ordinal);
        Assert.Contains("pg_stat_activity", failed.Message, StringComparison.Ordinal);

        await using var connection = await database.DataSource.OpenConnectionAsync(Cancel);
        Assert.Equal(0, await connection.ExecuteScalarAsync<int>("SELECT count(*)::int FROM information_schema.columns WHERE column_name = 'probe'"));
        Assert.Equal(known.Count - 1, await connection.ExecuteScalarAsync<int>("SELECT max(version) FROM schema_migration"));
        // And nobody's lock is left of it.
        await connection.ExecuteAsync("BEGIN; LOCK TABLE gateway IN ACCESS EXCLUSIVE MODE NOWAIT; COMMIT");
    }

    private static List<Migration> WithOneMore(string sql)
    {
        var known = Migrations.Embedded().ToList();
        var number = known.Count + 1;
        known.Add(new Migration(number, $"{number:0000}_more.sql", "more", sql));
        return known;
    }

    private static async Task ExecuteAsync(PrivatePostgres database, string sql)
    {
        await using var connection = await database.DataSource.OpenConnectionAsync(Cancel);
        await connection.ExecuteAsync(sql);
    }
}
