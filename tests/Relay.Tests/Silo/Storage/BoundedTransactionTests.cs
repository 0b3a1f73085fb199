using Dapper;
using Npgsql;
using Relay.GrainHost.Membership;
using Relay.Silo.GrainHosting;
using Relay.Silo.Storage;
using Relay.TestKit;
using Xunit;

namespace Relay.Tests.Silo.Storage;

/// <summary>A silo that stands still in the middle of a transaction: here one that simply does not go on.</summary>
public sealed class BoundedTransactionTests(PrivatePostgres database) : IClassFixture<PrivatePostgres>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_silo_that_stands_still_in_a_write_holds_up_no_other_and_learns_that_it_wrote_nothing()
    {
        var actor = Actor.System(await OrganizationAsync());
        await using var still = await OrganizationWrite.BeginAsync(database.DataSource, actor, Cancel);
        await still.AuditAsync("test.still", "test", "1");

        await using (var other = await OrganizationWrite.BeginAsync(database.DataSource, actor, Cancel))
        {
            await other.AuditAsync("test.other", "test", "2");
            await other.CommitAsync();
            Assert.Equal(2, other.CommittedVersion);
        }

        var told = await Assert.ThrowsAnyAsync<NpgsqlException>(() => still.CommitAsync());
        Assert.True(StoreErrors.IsOutage(told), told.ToString());
        Assert.Null(still.CommittedVersion);
        Assert.Equal(["test.other"], await QueryAsync<string>("SELECT action_type FROM audit_event WHERE organization_id = @OrganizationId", new { actor.OrganizationId }));

        // It tries again, as its caller is told to.
        await using var again = await OrganizationWrite.BeginAsync(database.DataSource, actor, Cancel);
        await again.CommitAsync();
        Assert.Equal(3, again.CommittedVersion);
    }

    [Fact]
    public async Task A_silo_that_stands_still_while_it_reads_or_writes_the_members_keeps_nobody_from_writing_them()
    {
        await using var connection = await database.DataSource.OpenConnectionAsync(Cancel);
        await using var still = await connection.BeginBoundedAsync(TimeSpan.FromSeconds(1), Cancel);
        await connection.ExecuteAsync($"SELECT pg_advisory_xact_lock({MembershipTable.LockKey})", transaction: still);
        var table = new MembershipTable(database.DataSource);
        var before = await table.ReadAsync(Cancel);
        Assert.True(await table.TryInsertAsync(new SiloMember("a:1", Guid.NewGuid(), MemberStatus.Joining, "", "", "", "", default, default), before.Version, Cancel));
    }

    [Theory]
    [InlineData(StoreErrors.IdleInTransactionSessionTimeout, true)]
    [InlineData(PostgresErrorCodes.UniqueViolation, false)]
    [InlineData(PostgresErrorCodes.AdminShutdown, true)]
    public void An_ended_transaction_counts_as_an_outage_and_a_refused_statement_does_not(string state, bool outage) =>
        Assert.Equal(outage, StoreErrors.IsOutage(new PostgresException("it says", "FATAL", "FATAL", state)));

    private async Task<Guid> OrganizationAsync() => Assert.Single(await QueryAsync<Guid>(
        """
        INSERT INTO organization (organization_id, name, user_ca, ssh_ca, user_ca_public, ssh_ca_public)
        VALUES (gen_random_uuid(), 'o' || gen_random_uuid(), ''::bytea, ''::bytea, '', '') RETURNING organization_id
        """));

    private async Task<IReadOnlyList<T>> QueryAsync<T>(string sql, object? parameters = null)
    {
        await using var connection = await database.DataSource.OpenConnectionAsync(Cancel);
        return (await connection.QueryAsync<T>(sql, parameters)).AsList();
    }
}
