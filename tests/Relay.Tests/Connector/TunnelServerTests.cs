using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Connector.Targets;
using Relay.Connector.Tunnel;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;

namespace Relay.Tests.Connector;

public sealed class TunnelServerTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    // The connector dials anew only when it has noticed; a cut in the middle of an answer must not hide the end.
    [Fact]
    public async Task A_tunnel_that_is_cut_in_the_middle_of_an_answer_is_over()
    {
        await using var server = new TunnelServer(
            new TunnelRoutes(new EpochGate(), new BootClock(TimeProvider.System), new TargetDialler(TimeSpan.FromSeconds(5), TimeProvider.System), null, NullLoggerFactory.Instance), NullLoggerFactory.Instance);
        await server.StartAsync(Cancel);
        for (var i = 0; i < 60; i++)
        {
            using var listener = new TcpListener(IPAddress.Loopback, 0);
            listener.Start();
            var agent = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await agent.ConnectAsync(listener.LocalEndpoint, Cancel);
            var silo = await listener.AcceptSocketAsync(Cancel);
            var connection = new DialledConnection(new NetworkStream(agent, true), null, new Attachment("test", new AttachResponse(true, 1)));
            server.Serve(connection);
            var id = Guid.NewGuid();
            var clock = new BootClock(TimeProvider.System);
            using var tunnel = new ConnectorTunnel(
                new TunnelTransport(new NetworkStream(silo, true)), new AdmittedConnector(id, "c", id, id, ""),
                new ConnectorLease(id, 1, "here:1", id, id, "", TimeProvider.System.GetUtcNow(), true), clock.Now, null, new ServingRight(AgentEpochTests.Alone(), clock), TimeProvider.System);
            Assert.True(await tunnel.PingAsync(TimeSpan.FromSeconds(20), Cancel));
            var drained = tunnel.DrainedAsync();
            await tunnel.CloseAsync("lease_lost", "test");
            await connection.Completed.WaitAsync(TimeSpan.FromSeconds(20), TimeProvider.System, Cancel);
            Assert.False(await drained);
        }
    }
}
