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
                mine.Add((connector.Id, await store.AttachAsync(connector.Id, Guid.NewGuid(), $"agent-{n}", 0, Ttl, Cancel)));
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
        var first = await Store("a:1").AttachAsync(connector.Id, agent, "x", 0, Ttl, Cancel);
        var second = await Store("b:1").AttachAsync(connector.Id, agent, "y", 1, Ttl, Cancel);
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
        await old.AttachAsync(connector.Id, agent, "x", 0, Ttl, Cancel);
        await current.AttachAsync(connector.Id, agent, "y", 0, Ttl, Cancel);
        Assert.Empty(await old.RenewAsync([(connector.Id, 1)], Ttl, Cancel));
        Assert.Empty(await old.RenewAsync([(connector.Id, 2)], Ttl, Cancel));
        Assert.Equal([connector.Id], await current.RenewAsync([(connector.Id, 2)], Ttl, Cancel));
    }

    [Fact]
    public async Task A_lapsed_lease_is_taken_by_anybody_and_cannot_be_renewed()
    {
        var connector = await grid.CreateConnectorAsync();
        var (old, newcomer) = (Store("a:1"), Store("b:1"));
        await old.AttachAsync(connector.Id, Guid.NewGuid(), "x", 0, TimeSpan.Zero, Cancel);
        Assert.Empty(await old.RenewAsync([(connector.Id, 1)], Ttl, Cancel));
        var outcome = await newcomer.AttachAsync(connector.Id, Guid.NewGuid(), "y", 0, Ttl, Cancel);
        Assert.Equal(2, outcome.Won!.Epoch);
    }

    [Fact]
    public async Task Releasing_an_old_epoch_does_not_touch_its_successor()
    {
        var connector = await grid.CreateConnectorAsync();
        var store = Store("a:1");
        var agent = Guid.NewGuid();
        await store.AttachAsync(connector.Id, agent, "x", 0, Ttl, Cancel);
        await store.AttachAsync(connector.Id, agent, "x", 0, Ttl, Cancel);
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
        var outcome = await Store("a:1").AttachAsync(connector.Id, Guid.NewGuid(), "x", claimed, Ttl, Cancel);
        Assert.Equal(expected, outcome.Won!.Epoch);
    }

    private ConnectorLeaseStore Store(string address) => new(grid.Postgres.DataSource, new SiloIdentity("s", address, Guid.NewGuid()));
}
