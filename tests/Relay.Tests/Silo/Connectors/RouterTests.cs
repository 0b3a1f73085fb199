using System.Globalization;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;

namespace Relay.Tests.Silo.Connectors;

public sealed class RouterTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_grant_for_another_socket_opens_nothing()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var target = new ConnectorTarget(Guid.NewGuid(), [new ConnectorReference(Guid.NewGuid(), "c")], StreamTarget.BuiltInSsh);
        await Assert.ThrowsAsync<ArgumentException>(async () => await silo.OpenAsync(TestSilo.Grant(Guid.NewGuid()), target));
    }

    [Fact]
    public async Task The_connector_with_the_fewest_streams_is_taken()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var (one, two) = (await grid.CreateConnectorAsync(silo), await grid.CreateConnectorAsync(silo));
        await using var agentOne = TestAgent.Start(one.Token);
        await using var agentTwo = TestAgent.Start(two.Token);
        await silo.AttachedAsync(one);
        await silo.AttachedAsync(two);
        using var target = new TcpTarget();
        var streams = new List<RoutedStream>();
        for (var i = 0; i < 6; i++)
            streams.Add(await silo.OpenAsync(target.Target, one, two));
        Assert.Equal(3, streams.Count(s => s.ConnectorId == one.Id));
        Assert.Equal(3, streams.Count(s => s.ConnectorId == two.Id));

        // Closing frees: the next two go where there is room now.
        foreach (var stream in streams.Where(s => s.ConnectorId == two.Id))
            await stream.Stream.DisposeAsync();
        await using var next = (await silo.OpenAsync(target.Target, one, two)).Stream;
        Assert.Equal(1, silo.Tunnels.Find(two.Id)!.OpenStreams);
        foreach (var stream in streams)
            await stream.Stream.DisposeAsync();
    }

    [Fact]
    public async Task When_one_connector_cannot_open_the_next_one_does()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var (hanging, good) = (await grid.CreateConnectorAsync(silo), await grid.CreateConnectorAsync(silo));

        // Attached, but nobody serves: the worst kind of path, one that looks open.
        await using var dead = await ScriptedAgent.AttachAsync(grid, silo, hanging.Token, Guid.NewGuid());
        await silo.AttachedAsync(hanging);
        await using var agent = TestAgent.Start(good.Token);
        await silo.AttachedAsync(good);
        using var target = new TcpTarget();

        // Soon given up the first time, and the second time not tried before the other one.
        silo.Router.FirstPathsDeadline = TimeSpan.FromSeconds(2);
        for (var i = 0; i < 2; i++)
        {
            var routed = await silo.OpenAsync(target.Target, hanging, good);
            await routed.Stream.DisposeAsync();
            Assert.Equal(good.Id, routed.ConnectorId);
            silo.Router.FirstPathsDeadline = TimeSpan.FromMinutes(1);
        }
    }

    [Fact]
    public async Task A_connector_that_moved_is_found_at_its_new_silo()
    {
        await using var here = await TestSilo.StartAsync(grid, "silo-a");
        await using var before = await TestSilo.StartAsync(grid, "silo-b");
        await using var after = await TestSilo.StartAsync(grid, "silo-c");
        var connector = await grid.CreateConnectorAsync(before);
        var instance = Guid.NewGuid();
        using var target = new TcpTarget();
        await using var first = await ScriptedAgent.AttachAsync(grid, before, connector.Token, instance);
        await first.ServeAsync();
        var routed = await here.OpenAsync(target.Target, connector);
        await routed.Stream.DisposeAsync();
        Assert.Equal(before.Identity.Address, routed.Silo);

        await using var second = await ScriptedAgent.AttachAsync(grid, after, connector.Token, instance);
        await second.ServeAsync();
        routed = await here.OpenAsync(target.Target, connector);
        await routed.Stream.DisposeAsync();
        Assert.Equal(after.Identity.Address, routed.Silo);
    }

    [Theory]
    [InlineData("127.0.0.1", 1, StreamOpenError.Refused, "refused the connection")]
    [InlineData("no-such-host.invalid", 22, StreamOpenError.NameNotFound, "name")]
    [InlineData("255.255.255.255", 22, StreamOpenError.Unreachable, "unreachable")]
    public async Task Why_a_target_is_not_reached_is_said(string host, int port, StreamOpenError error, string sentence)
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        var refusal = await Assert.ThrowsAsync<StreamOpenException>(() => silo.OpenAsync(StreamTarget.Tcp(host, port), connector));
        Assert.Equal(error, refusal.Error);
        Assert.Contains($"connector {connector.Name}: ", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(sentence, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_connector_that_is_just_coming_is_waited_for()
    {
        await using var before = await TestSilo.StartAsync(grid, "silo-a");
        await using var here = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(before);
        var instance = Guid.NewGuid();
        using var target = new TcpTarget();
        await using var first = await ScriptedAgent.AttachAsync(grid, before, connector.Token, instance);
        var old = await before.AttachedAsync(connector);

        // What a reader of the table knows while the connector attaches here: an epoch that is over.
        Assert.True(here.Tunnels.Admit(connector.Id, old.Epoch + 1));
        var opening = here.OpenAsync(target.Target, connector);
        await using var second = await ScriptedAgent.AttachAsync(grid, here, connector.Token, instance);
        await second.ServeAsync();
        var routed = await opening;
        await routed.Stream.DisposeAsync();
        Assert.Equal((here.Identity.Address, 1), (routed.Silo, routed.Hops));
    }

    [Fact]
    public async Task A_connector_that_is_not_there_is_named()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        var refusal = await Assert.ThrowsAsync<StreamOpenException>(() => silo.OpenAsync(StreamTarget.Tcp("127.0.0.1", 1), connector));
        Assert.Equal(StreamOpenError.NotAttached, refusal.Error);
        Assert.Equal($"connector {connector.Name} is not connected", refusal.Message);
    }

    [Fact]
    public async Task A_silo_refuses_an_epoch_lower_than_the_highest_it_has_seen()
    {
        await using var holder = await TestSilo.StartAsync(grid, "silo-a");
        await using var stale = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(holder);
        var instance = Guid.NewGuid();
        await using var first = await ScriptedAgent.AttachAsync(grid, holder, connector.Token, instance);
        await using var second = await ScriptedAgent.AttachAsync(grid, holder, connector.Token, instance);
        await second.ServeAsync();
        await holder.AttachedAsync(connector, epoch: 2);
        Assert.Equal(StreamOpenError.StaleEpoch, await OpenRawAsync(stale, holder, connector, 1));

        // A higher one than its own tunnel's: that tunnel is over, wherever the new one is.
        Assert.Equal(StreamOpenError.NotAttached, await OpenRawAsync(stale, holder, connector, 3));
        Assert.Equal(StreamOpenError.StaleEpoch, await OpenRawAsync(stale, holder, connector, 2));
        Assert.Null(holder.Tunnels.Find(connector.Id));
    }

    private static async Task<StreamOpenError> OpenRawAsync(TestSilo from, TestSilo to, TestConnector connector, long epoch)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, $"https://{to.Identity.Address}{GridRoutes.ConnectorStream(connector.Id)}");
        request.Headers.Add(TunnelWire.SessionHeader, Guid.NewGuid().ToString());
        request.Headers.Add(TunnelWire.EpochHeader, epoch.ToString(CultureInfo.InvariantCulture));
        request.Headers.Add(TunnelWire.TargetHeader, "tcp 127.0.0.1:1");
        return (await Assert.ThrowsAsync<StreamOpenException>(async () =>
            await DuplexHttpStream.OpenAsync(from.Links.For(to.Identity.Address), request, TimeSpan.FromSeconds(20), TimeProvider.System, Cancel))).Error;
    }
}
