using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.Silo.Fencing;

namespace Relay.Tests.Silo.Connectors;

/// <summary>What a tunnel stands on; the keeper's loop is off and its turns are the test's.</summary>
public sealed class TunnelKeeperTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_renewal_moves_the_end_of_the_lease()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", keep: false);
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        var tunnel = await silo.AttachedAsync(connector);
        await grid.ExecuteAsync("UPDATE connector_lease SET expires_at = now() + interval '1 minute' WHERE connector_id = @Id", new { connector.Id });
        var before = tunnel.RenewedAt;
        await silo.Keeper.AskStoreAsync(renew: true, seen: true, Cancel);
        Assert.True(tunnel.RenewedAt > before);
        Assert.True(await grid.QueryAsync<bool>("SELECT expires_at > now() + interval '14 minutes' FROM connector_lease WHERE connector_id = @Id", new { connector.Id }));
        Assert.Same(tunnel, silo.Tunnels.Find(connector.Id));
    }

    [Fact]
    public async Task A_tunnel_whose_lease_was_taken_elsewhere_is_closed_at_the_next_renewal()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", keep: false);
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        var tunnel = await silo.AttachedAsync(connector);
        await grid.ExecuteAsync("UPDATE connector_lease SET epoch = epoch + 1, silo_incarnation = gen_random_uuid() WHERE connector_id = @Id", new { connector.Id });
        await silo.Keeper.AskStoreAsync(renew: true, seen: false, Cancel);
        await tunnel.Closed.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel);
        Assert.Equal("superseded", tunnel.CloseCode);

        // The agent comes back by itself, above every epoch there was.
        Assert.Equal(3, (await silo.AttachedAsync(connector, epoch: 3)).Epoch);
    }

    [Fact]
    public async Task A_tunnel_that_could_not_renew_is_closed_before_its_lease_can_have_ended()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", keep: false);
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        var tunnel = await silo.AttachedAsync(connector);
        tunnel.RenewedAt -= ConnectorLeaseStore.HardTtl - TimeSpan.FromSeconds(29);
        // Refused at once, not when the keeper gets round to it.
        var refused = await Assert.ThrowsAsync<StreamOpenException>(async () => await tunnel.OpenAsync(Guid.NewGuid(), StreamTarget.Tcp("127.0.0.1", 1), TimeSpan.FromSeconds(20), Cancel));
        Assert.Equal(StreamOpenError.NotAttached, refused.Error);
        silo.Keeper.CloseLapsed();
        await tunnel.Closed.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel);
        Assert.Equal("lease_lost", tunnel.CloseCode);
    }

    [Fact]
    public async Task A_silo_that_hears_neither_store_nor_majority_opens_nothing_and_closes_its_tunnels()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", keep: false);
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        var tunnel = await silo.AttachedAsync(connector);
        silo.Keeper.CloseLapsed();
        Assert.Same(tunnel, silo.Tunnels.Find(connector.Id));

        // Two more silos that it has never heard.
        silo.Fence.Adopt([silo.Fence.Self, new Voter("x:1", Guid.NewGuid()), new Voter("y:1", Guid.NewGuid())]);
        var refused = await Assert.ThrowsAsync<StreamOpenException>(async () => await tunnel.OpenAsync(Guid.NewGuid(), StreamTarget.Tcp("127.0.0.1", 1), TimeSpan.FromSeconds(20), Cancel));
        Assert.Equal(StreamOpenError.NotAttached, refused.Error);
        silo.Keeper.CloseLapsed();
        await tunnel.Closed.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel);
        Assert.Equal("lease_lost", tunnel.CloseCode);

        // Nor does it take anybody new, until the store has told it that it may go on.
        await using (var other = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid()))
        {
            Assert.Equal(AttachCodes.Unavailable, other.Answer.Code);
            Assert.Contains("cut off", other.Answer.Message, StringComparison.Ordinal);
        }

        // The store goes on telling it: what it has said holds for seconds.
        await Eventually.TrueAsync(
            () =>
            {
                silo.Fence.OnHeld(silo.Right.Now);
                return silo.Tunnels.Find(connector.Id) is { Epoch: >= 2 };
            },
            "the agent is back");
    }

    [Fact]
    public async Task Cut_from_the_store_alone_it_renews_through_a_peer()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", keep: false);
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        var tunnel = await silo.AttachedAsync(connector);
        silo.StoreProbe.Failure = new Npgsql.NpgsqlException("cut");
        await silo.Store.AskAsync(Cancel);
        Assert.False(silo.Store.Reachable);
        var before = tunnel.RenewedAt;
        await silo.Keeper.AskStoreAsync(renew: true, seen: false, Cancel);
        Assert.Equal(before, tunnel.RenewedAt);

        silo.Peers.Answer = asked => Task.FromResult<PeerRenewalAnswer?>(new PeerRenewalAnswer(true, [.. asked.Leases.Select(l => l.Connector)], []));
        await silo.Keeper.AskStoreAsync(renew: true, seen: false, Cancel);
        Assert.True(tunnel.RenewedAt > before);
        Assert.Same(tunnel, silo.Tunnels.Find(connector.Id));

        // What the peer says counts as what the store says: a token that was revoked ends the tunnel.
        silo.Peers.Answer = asked => Task.FromResult<PeerRenewalAnswer?>(new PeerRenewalAnswer(true, [], [new PeerLostToken(connector.TokenId, AttachCodes.TokenRevoked, "revoked")]));
        await silo.Keeper.AskStoreAsync(renew: true, seen: false, Cancel);
        await tunnel.Closed.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel);
        Assert.Equal("token_revoked", tunnel.CloseCode);
    }

    [Fact]
    public async Task Without_the_store_nothing_is_decided_and_the_agent_is_told_so()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", keep: false, agentsAnswer: true);
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        var tunnel = await silo.AttachedAsync(connector);
        silo.StoreProbe.Failure = new Npgsql.NpgsqlException("cut");
        await silo.Store.AskAsync(Cancel);
        await silo.Keeper.AskStoreAsync(renew: true, seen: true, Cancel);
        silo.Keeper.CloseLapsed();
        // What was decided stays.
        Assert.Same(tunnel, silo.Tunnels.Find(connector.Id));
        Assert.True(await tunnel.PingAsync(TimeSpan.FromSeconds(20), Cancel));
        await using (var other = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid()))
        {
            Assert.Equal(AttachCodes.Unavailable, other.Answer.Code);
            Assert.Contains("the grid's database does not answer", other.Answer.Message, StringComparison.Ordinal);
        }

        silo.StoreProbe.Failure = null;
        await silo.Store.AskAsync(Cancel);
        await using var refused = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.Equal(AttachCodes.AlreadyConnected, refused.Answer.Code);
    }

    [Fact]
    public async Task A_connection_that_ends_gives_the_lease_up_at_once()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", keep: false);
        var connector = await grid.CreateConnectorAsync(silo);
        await using (var agent = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid()))
        {
            await agent.ServeAsync();
            Assert.True(await (await silo.AttachedAsync(connector)).PingAsync(TimeSpan.FromSeconds(20), Cancel));
        }

        await Eventually.TrueAsync(() => grid.QueryAsync<bool>("SELECT expires_at = '-infinity' FROM connector_lease WHERE connector_id = @Id", new { connector.Id }), "the lease is released");

        Assert.Equal(1, await grid.QueryAsync<long>("SELECT epoch FROM connector_lease WHERE connector_id = @Id", new { connector.Id }));
    }
}
