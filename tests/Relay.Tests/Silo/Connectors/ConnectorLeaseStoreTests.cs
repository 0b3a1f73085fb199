using Relay.Silo.Connectors;
using Relay.Silo.Hosting;

namespace Relay.Tests.Silo.Connectors;

public sealed class ConnectorLeaseStoreTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private static readonly TimeSpan Ttl = TimeSpan.FromMinutes(15);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Of_sixteen_clients_with_many_new_connectors_exactly_one_wins_each()
    {
        var connectors = new List<TestConnector>();
        for (var i = 0; i < 60; i++)
            connectors.Add(await grid.CreateConnectorAsync());
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 16).Select(async n =>
        {
            var store = Store($"silo-{n}:1");
            var mine = new List<(Guid Connector, LeaseOutcome Outcome)>();

            // Every client in another order, so that they meet everywhere.
            foreach (var connector in connectors.OrderBy(_ => Random.Shared.Next()))
                mine.Add((connector.Id, await store.AttachAsync(connector.Id, Guid.NewGuid(), $"agent-{n}", 0, null, Ttl, null, Cancel)));
            return mine;
        }));

        foreach (var connector in connectors)
        {
            var all = outcomes.SelectMany(o => o).Where(o => o.Connector == connector.Id).Select(o => o.Outcome).ToArray();
            var winner = Assert.Single(all, o => o.Won is not null).Won!;
            Assert.Equal(1, winner.Epoch);
            Assert.Equal(15, all.Count(o => o.Holder is { } h && h.AgentInstance == winner.AgentInstance && h.Silo == winner.Silo));
        }

        Assert.Equal(connectors.Count, await grid.QueryAsync<int>(
            "SELECT count(*)::int FROM connector_lease WHERE connector_id = ANY (@ids)", new { ids = connectors.Select(c => c.Id).ToArray() }));
    }

    [Fact]
    public async Task The_same_agent_instance_moves_anywhere_at_once_and_the_epoch_grows()
    {
        var connector = await grid.CreateConnectorAsync();
        var agent = Guid.NewGuid();
        var first = await Store("a:1").AttachAsync(connector.Id, agent, "x", 0, null, Ttl, null, Cancel);
        var second = await Store("b:1").AttachAsync(connector.Id, agent, "y", 1, null, Ttl, null, Cancel);
        Assert.Equal(1, first.Won!.Epoch);
        Assert.Equal(2, second.Won!.Epoch);
        Assert.Equal("b:1", second.Won.Silo);
    }

    [Fact]
    public async Task Only_the_holder_of_the_current_epoch_renews()
    {
        var connector = await grid.CreateConnectorAsync();
        var agent = Guid.NewGuid();
        var (old, current) = (Store("a:1"), Store("b:1"));
        await old.AttachAsync(connector.Id, agent, "x", 0, null, Ttl, null, Cancel);
        await current.AttachAsync(connector.Id, agent, "y", 0, null, Ttl, null, Cancel);
        Assert.Empty(await old.RenewAsync([(connector.Id, 1)], Ttl, Cancel));
        Assert.Empty(await old.RenewAsync([(connector.Id, 2)], Ttl, Cancel));
        Assert.Equal([connector.Id], await current.RenewAsync([(connector.Id, 2)], Ttl, Cancel));
    }

    [Fact]
    public async Task Thousands_of_leases_are_renewed_whichever_statement_they_fall_into()
    {
        var (first, last) = (await grid.CreateConnectorAsync(), await grid.CreateConnectorAsync());
        var holder = Store("a:1");
        foreach (var connector in new[] { first, last })
            await holder.AttachAsync(connector.Id, Guid.NewGuid(), "x", 0, null, Ttl, null, Cancel);
        (Guid, long)[] leases = [(first.Id, 1), .. Enumerable.Range(0, 2_500).Select(_ => (Guid.NewGuid(), 1L)), (last.Id, 1)];
        Assert.True((await holder.RenewAsync(leases, Ttl, Cancel)).SetEquals([first.Id, last.Id]));
        Assert.Empty(await holder.RenewAsync([], Ttl, Cancel));
    }

    [Theory]
    [InlineData("- interval '1 day'")]
    [InlineData("+ interval '1 day'")]
    public async Task A_jump_of_the_databases_clock_takes_no_lease_away(string jump)
    {
        var connector = await grid.CreateConnectorAsync();
        var (holder, newcomer) = (Store("a:1"), Store("b:1"));
        await holder.AttachAsync(connector.Id, Guid.NewGuid(), "x", 0, null, Ttl, null, Cancel);
        // As if the clock had jumped the other way.
        await grid.ExecuteAsync($"UPDATE connector_lease SET expires_at = expires_at {jump} WHERE connector_id = @Id", new { connector.Id });
        Assert.Equal(1, (await newcomer.AttachAsync(connector.Id, Guid.NewGuid(), "y", 0, null, Ttl, null, Cancel)).Holder!.Epoch);
        Assert.True(Assert.Single(await newcomer.ReadLiveAsync([connector.Id], Cancel)).Live);
        Assert.Equal([connector.Id], await holder.RenewAsync([(connector.Id, 1)], Ttl, Cancel));
    }

    [Fact]
    public async Task Only_the_epoch_that_is_proved_to_be_over_is_overtaken()
    {
        var connector = await grid.CreateConnectorAsync();
        var (holder, newcomer) = (Store("a:1"), Store("b:1"));
        var agent = Guid.NewGuid();
        await holder.AttachAsync(connector.Id, agent, "x", 0, null, Ttl, null, Cancel);
        await holder.AttachAsync(connector.Id, agent, "x", 0, null, Ttl, null, Cancel);
        Assert.Equal(2, (await newcomer.AttachAsync(connector.Id, Guid.NewGuid(), "y", 0, null, Ttl, 1, Cancel)).Holder!.Epoch);
        Assert.Equal(3, (await newcomer.AttachAsync(connector.Id, Guid.NewGuid(), "y", 0, null, Ttl, 2, Cancel)).Won!.Epoch);
        Assert.Empty(await holder.RenewAsync([(connector.Id, 2)], Ttl, Cancel));
    }

    [Fact]
    public async Task A_lease_that_was_given_up_is_anybodys_and_cannot_be_renewed()
    {
        var connector = await grid.CreateConnectorAsync();
        var (holder, newcomer) = (Store("a:1"), Store("b:1"));
        await holder.AttachAsync(connector.Id, Guid.NewGuid(), "x", 0, null, Ttl, null, Cancel);
        Assert.True(await holder.ReleaseAsync(connector.Id, 1, Cancel));
        Assert.Empty(await holder.RenewAsync([(connector.Id, 1)], Ttl, Cancel));
        Assert.Empty(await holder.ReadLiveAsync([connector.Id], Cancel));
        Assert.Equal(2, (await newcomer.AttachAsync(connector.Id, Guid.NewGuid(), "y", 0, null, Ttl, null, Cancel)).Won!.Epoch);
    }

    [Fact]
    public async Task An_attach_that_is_executed_late_wins_nothing()
    {
        var connector = await grid.CreateConnectorAsync();
        var (slow, quick) = (Store("a:1"), Store("b:1"));
        var agent = Guid.NewGuid();
        Assert.Equal(1, (await slow.AttachAsync(connector.Id, agent, "x", 0, 1, Ttl, null, Cancel)).Won!.Epoch);
        Assert.Equal(2, (await quick.AttachAsync(connector.Id, agent, "x", 1, 3, Ttl, null, Cancel)).Won!.Epoch);
        // Sent before, by an agent that gave up on the answer; whoever won with it would find nobody there and give the lease away.
        Assert.Equal(2, (await slow.AttachAsync(connector.Id, agent, "x", 1, 2, Ttl, null, Cancel)).Holder!.Epoch);
        Assert.True(await quick.ReleaseAsync(connector.Id, 2, Cancel));
        Assert.Equal(2, (await slow.AttachAsync(connector.Id, agent, "x", 1, 2, Ttl, null, Cancel)).Holder!.Epoch);
        // Another instance has its own count, and one without numbers has none.
        Assert.Equal(3, (await slow.AttachAsync(connector.Id, Guid.NewGuid(), "x", 0, 1, Ttl, null, Cancel)).Won!.Epoch);
        Assert.True(await slow.ReleaseAsync(connector.Id, 3, Cancel));
        Assert.Equal(4, (await slow.AttachAsync(connector.Id, agent, "x", 0, null, Ttl, null, Cancel)).Won!.Epoch);
        Assert.Equal(5, (await slow.AttachAsync(connector.Id, agent, "x", 0, null, Ttl, null, Cancel)).Won!.Epoch);
    }

    [Fact]
    public async Task One_silo_renews_for_another_only_what_that_one_holds()
    {
        var (mine, theirs) = (await grid.CreateConnectorAsync(), await grid.CreateConnectorAsync());
        var asker = Store("a:1", out var askerId);
        var peer = Store("b:1");
        await asker.AttachAsync(mine.Id, Guid.NewGuid(), "x", 0, null, Ttl, null, Cancel);
        await peer.AttachAsync(theirs.Id, Guid.NewGuid(), "x", 0, null, Ttl, null, Cancel);
        Assert.Equal([mine.Id], await peer.RenewAsync(askerId, [(mine.Id, 1), (theirs.Id, 1)], Ttl, Cancel));
    }

    [Fact]
    public async Task Renewals_can_be_told_apart_and_leases_without_them_are_found()
    {
        var connector = await grid.CreateConnectorAsync();
        var store = Store("a:1");
        await store.AttachAsync(connector.Id, Guid.NewGuid(), "x", 0, null, Ttl, null, Cancel);
        var before = (await store.ReadAsync(connector.Id, Cancel))!;
        Assert.DoesNotContain(await store.ReadStaleAsync(TimeSpan.FromMinutes(1), Cancel), l => l.ConnectorId == connector.Id);
        await store.RenewAsync([(connector.Id, 1)], Ttl - TimeSpan.FromMinutes(2), Cancel);
        Assert.NotEqual(before.Renewal, (await store.ReadAsync(connector.Id, Cancel))!.Renewal);
        Assert.Contains(await store.ReadStaleAsync(TimeSpan.FromMinutes(1), Cancel), l => l.ConnectorId == connector.Id);
    }

    [Fact]
    public async Task Releasing_an_old_epoch_does_not_touch_its_successor()
    {
        var connector = await grid.CreateConnectorAsync();
        var store = Store("a:1");
        var agent = Guid.NewGuid();
        await store.AttachAsync(connector.Id, agent, "x", 0, null, Ttl, null, Cancel);
        await store.AttachAsync(connector.Id, agent, "x", 0, null, Ttl, null, Cancel);
        Assert.False(await store.ReleaseAsync(connector.Id, 1, Cancel));
        Assert.True((await store.ReadAsync(connector.Id, Cancel))!.Live);
        Assert.True(await store.ReleaseAsync(connector.Id, 2, Cancel));
        Assert.False((await store.ReadAsync(connector.Id, Cancel))!.Live);
        Assert.Equal(2, (await store.ReadAsync(connector.Id, Cancel))!.Epoch);
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(7, 8)]
    [InlineData(long.MaxValue, 1001)]
    [InlineData(-5, 1)]
    public async Task An_epoch_the_agent_has_seen_counts_but_cannot_use_the_numbers_up(long claimed, long expected)
    {
        var connector = await grid.CreateConnectorAsync();
        var outcome = await Store("a:1").AttachAsync(connector.Id, Guid.NewGuid(), "x", claimed, null, Ttl, null, Cancel);
        Assert.Equal(expected, outcome.Won!.Epoch);
    }

    private ConnectorLeaseStore Store(string address) => Store(address, out _);

    private ConnectorLeaseStore Store(string address, out Guid incarnation) =>
        new(grid.Postgres.DataSource, new SiloIdentity("s", address, incarnation = Guid.NewGuid()));
}
