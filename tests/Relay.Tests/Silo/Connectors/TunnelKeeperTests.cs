using Relay.Silo.Connectors;

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
        await silo.Keeper.TickAsync(renew: true, seen: true, Cancel);
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
        await silo.Keeper.TickAsync(renew: true, seen: false, Cancel);
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
        var late = ConnectorLeaseStore.HardTtl - TimeSpan.FromSeconds(29);
        tunnel.RenewedAt -= (long)(late.TotalSeconds * TimeProvider.System.TimestampFrequency);
        await silo.Keeper.TickAsync(renew: false, seen: false, Cancel);
        await tunnel.Closed.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel);
        Assert.Equal("lease_lost", tunnel.CloseCode);
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

        var start = TimeProvider.System.GetTimestamp();
        while (await grid.QueryAsync<bool>("SELECT expires_at > now() FROM connector_lease WHERE connector_id = @Id", new { connector.Id }))
        {
            Assert.True(TimeProvider.System.GetElapsedTime(start) < TimeSpan.FromSeconds(40), "the lease was not released");
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, Cancel);
        }

        Assert.Equal(1, await grid.QueryAsync<long>("SELECT epoch FROM connector_lease WHERE connector_id = @Id", new { connector.Id }));
    }
}
