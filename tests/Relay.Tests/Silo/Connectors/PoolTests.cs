using System.Net;
using System.Net.Sockets;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.TestKit;

namespace Relay.Tests.Silo.Connectors;

/// <summary>Several hosts behind one socket, dialled by a real agent.</summary>
public sealed class PoolTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Sessions_go_to_the_member_with_the_fewest_and_a_dead_one_gets_none()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        using var one = new TcpTarget();
        using var two = new TcpTarget();
        var socket = Guid.NewGuid();
        var pool = new ConnectorTarget(socket, [new ConnectorReference(connector.Id, connector.Name)], [one.Target, two.Target]);
        var streams = new List<RoutedStream>();
        for (var i = 0; i < 4; i++)
            streams.Add(await silo.OpenAsync(TestSilo.Grant(socket), pool));
        Assert.Equal(2, streams.Count(s => s.Target == one.Target));
        Assert.Equal(2, streams.Count(s => s.Target == two.Target));

        // The second one dies and has fewer sessions now: the next open finds out and goes on to the other, and from then on nobody tries.
        foreach (var stream in streams.Where(s => s.Target == two.Target))
            await stream.Stream.DisposeAsync();
        two.Dispose();
        for (var i = 0; i < 3; i++)
            streams.Add(await silo.OpenAsync(TestSilo.Grant(socket), pool));
        Assert.Equal(5, streams.Count(s => s.Target == one.Target));
        Assert.Contains("refused", silo.Paths.Find(connector.Id, two.Target.Address)!.Reason, StringComparison.Ordinal);
        foreach (var stream in streams)
            await stream.Stream.DisposeAsync();
    }

    [Fact]
    public async Task What_other_silos_have_open_counts_for_hosts_and_for_connectors()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        await using var other = await TestSilo.StartAsync(grid, "silo-b");
        TestConnector[] connectors = [await grid.CreateConnectorAsync(silo), await grid.CreateConnectorAsync(silo)];
        await using var first = TestAgent.Start(connectors[0].Token);
        await using var second = TestAgent.Start(connectors[1].Token);
        foreach (var connector in connectors)
            await silo.AttachedAsync(connector);
        using var one = new TcpTarget();
        using var two = new TcpTarget();
        ConnectorReference[] references = [.. connectors.Select(c => new ConnectorReference(c.Id, c.Name))];
        await OtherTakesWhatIsFreeAsync(() => new ConnectorTarget(Guid.NewGuid(), [references[0]], [one.Target, two.Target]), r => r.Target.Address);
        await OtherTakesWhatIsFreeAsync(() => new ConnectorTarget(Guid.NewGuid(), references, one.Target), r => r.ConnectorName);

        // Each of the two ways is the free one once: whoever knows nothing of the other silo is wrong once.
        async Task OtherTakesWhatIsFreeAsync(Func<ConnectorTarget> socket, Func<RoutedStream, string> way)
        {
            foreach (var freed in new[] { 0, 1 })
            {
                var target = socket();
                RoutedStream[] both = [await silo.OpenAsync(TestSilo.Grant(target.SocketId), target), await silo.OpenAsync(TestSilo.Grant(target.SocketId), target)];
                Array.Sort(both, (a, b) => string.CompareOrdinal(way(a), way(b)));
                Assert.NotEqual(way(both[0]), way(both[1]));
                await both[freed].Stream.DisposeAsync();
                var (connector, host) = (both[1 - freed].ConnectorId, both[1 - freed].Target.Address);
                await Eventually.TrueAsync(
                    async () => await grid.Grains.ReportsOf(target.SocketId) is [{ Streams: 1 } left] && (left.ConnectorId, left.Target) == (connector, host), "the stream that is left is reported");
                var taken = await other.OpenAsync(TestSilo.Grant(target.SocketId), target);
                Assert.Equal(way(both[freed]), way(taken));
                await taken.Stream.DisposeAsync();
                await both[1 - freed].Stream.DisposeAsync();
                await Eventually.TrueAsync(async () => (await grid.Grains.ReportsOf(target.SocketId)).Count == 0, "no stream is reported");
            }
        }
    }

    [Fact]
    public async Task A_member_that_is_back_is_found_by_the_check_and_another_silo_knows_both()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        await using var other = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        using var alive = new TcpTarget();
        int port;
        using (var gone = new TcpTarget())
            port = gone.Target.Port;
        var dead = StreamTarget.Tcp("127.0.0.1", port);
        var socket = Guid.NewGuid();
        var pool = new ConnectorTarget(socket, [new ConnectorReference(connector.Id, connector.Name)], [dead, alive.Target]);
        var routed = await silo.OpenAsync(TestSilo.Grant(socket), pool);
        await routed.Stream.DisposeAsync();
        Assert.Equal(alive.Target, routed.Target);
        await Eventually.TrueAsync(() => !other.Paths.IsHealthy(connector.Id, dead), "the other silo knows that it fails");

        using var back = new TcpListener(IPAddress.Loopback, port);
        back.Start();
        await silo.Checks.CheckAsync(Cancel);
        // Of a check that began before, the answer may come after: then it is the next one's turn.
        await Eventually.TrueAsync(() => silo.Paths.IsHealthy(connector.Id, dead), "the check finds it");
        await Eventually.TrueAsync(() => other.Paths.IsHealthy(connector.Id, dead), "the other silo knows that it works");
        routed = await silo.OpenAsync(TestSilo.Grant(socket), pool);
        await routed.Stream.DisposeAsync();
        Assert.Equal(dead, routed.Target);
    }

    [Fact]
    public async Task The_agent_says_why_a_target_is_not_reached()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        var tunnel = await silo.AttachedAsync(connector);
        using var target = new TcpTarget();
        await tunnel.CheckAsync(target.Target, TimeSpan.FromMinutes(1), Cancel);
        var error = await Assert.ThrowsAsync<StreamOpenException>(() => tunnel.CheckAsync(StreamTarget.Tcp("no-such-host.invalid", 22), TimeSpan.FromSeconds(30), Cancel));
        Assert.Equal(StreamOpenError.NameNotFound, error.Error);
    }
}
