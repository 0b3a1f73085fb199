using Dapper;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Silo.Storage;
using Relay.TestKit;
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

    private static async Task ExecuteAsync(PrivatePostgres database, string sql)
    {
        await using var connection = await database.DataSource.OpenConnectionAsync(Cancel);
        await connection.ExecuteAsync(sql);
    }
}
