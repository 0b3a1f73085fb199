using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Connector.Targets;
using Relay.Connector.Tunnel;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.TestKit;

namespace Relay.Tests.Connector;

public sealed class TunnelServerTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    // The connector dials anew only when it has noticed; a cut in the middle of an answer must not hide the end.
    [Fact]
    public async Task A_tunnel_that_is_cut_in_the_middle_of_an_answer_is_over()
    {
        await using var server = await StartAsync();
        for (var i = 0; i < 60; i++)
        {
            var (connection, tunnel) = await ConnectAsync(server);
            using var ended = tunnel;
            Assert.True(await tunnel.PingAsync(TimeSpan.FromSeconds(60), Cancel));
            var drained = tunnel.DrainedAsync();
            await tunnel.CloseAsync("lease_lost", "test");
            await connection.Completed.WaitAsync(TimeSpan.FromSeconds(60), TimeProvider.System, Cancel);
            Assert.False(await drained);
        }
    }

    // Kestrel looks at its time-outs once a second, and what it closes then it does not announce: two of its looks have to pass.
    [Fact]
    public async Task A_tunnel_on_which_nothing_was_asked_yet_is_not_idle()
    {
        await using var server = await StartAsync();
        var (connection, tunnel) = await ConnectAsync(server);
        using var ended = tunnel;
        await Assert.ThrowsAsync<TimeoutException>(() => connection.Completed.WaitAsync(TimeSpan.FromSeconds(2.5), TimeProvider.System, Cancel));
        Assert.True(await tunnel.PingAsync(TimeSpan.FromSeconds(60), Cancel));
    }

    // Another silo that asks for the stream must be able to tell it from a refusal, and look where the connector is now.
    [Fact]
    public async Task A_stream_on_a_connection_that_takes_no_more_is_not_attached()
    {
        using var nobody = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        nobody.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var target = StreamTarget.Tcp("127.0.0.1", ((IPEndPoint)nobody.LocalEndPoint!).Port);
        await using var server = await StartAsync();
        var (connection, tunnel) = await ConnectAsync(server);
        using var ended = tunnel;
        Assert.Equal(StreamOpenError.Refused, await OpenAsync());
        connection.RequestClose();
        var error = StreamOpenError.Refused;
        await Eventually.TrueAsync(async () => (error = await OpenAsync()) != StreamOpenError.Refused, "the silo has heard it");
        Assert.Equal(StreamOpenError.NotAttached, error);

        async Task<StreamOpenError> OpenAsync() =>
            (await Assert.ThrowsAsync<StreamOpenException>(async () => await tunnel.OpenAsync(Guid.NewGuid(), target, TimeSpan.FromSeconds(60), Cancel))).Error;
    }

    private static async Task<TunnelServer> StartAsync()
    {
        var server = new TunnelServer(
            new TunnelRoutes(new EpochGate(), new BootClock(TimeProvider.System), new TargetDialler(TimeSpan.FromSeconds(60), TimeProvider.System), null, TimeProvider.System, NullLoggerFactory.Instance), NullLoggerFactory.Instance);
        await server.StartAsync(Cancel);
        return server;
    }

    /// <summary>Both ends of a connection that the server serves.</summary>
    private static async Task<(DialledConnection Agent, ConnectorTunnel Silo)> ConnectAsync(TunnelServer server)
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
        return (connection, new ConnectorTunnel(
            new TunnelTransport(new NetworkStream(silo, true)), new AdmittedConnector(id, "c", id, id, ""),
            new ConnectorLease(id, 1, "here:1", id, id, "", TimeProvider.System.GetUtcNow(), true), clock.Now, null, new ServingRight(AgentEpochTests.Alone(), clock), TimeProvider.System));
    }
}
