using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Connector.Targets;
using Relay.Connector.Tunnel;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;

namespace Relay.Tests.Connector;

/// <summary>The agent alone decides which epoch may open streams: a silo that was thawed or cut off does not know better.</summary>
public sealed class AgentEpochTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(5, true)]
    [InlineData(4, false)]
    [InlineData(6, false)]
    public async Task Only_the_epoch_of_the_attachment_opens_streams(long opener, bool expected)
    {
        var epochs = new EpochGate();
        await using var server = await StartAsync(epochs);
        using var tunnel = await ConnectAsync(server, attached: 5, opener);
        Assert.Equal(expected, await OpensAsync(tunnel));
    }

    [Fact]
    public async Task An_older_tunnel_opens_nothing_once_a_newer_one_was_seen()
    {
        var epochs = new EpochGate();
        await using var server = await StartAsync(epochs);
        using var old = await ConnectAsync(server, attached: 5, opener: 5);
        using var current = await ConnectAsync(server, attached: 6, opener: 6);
        Assert.True(await OpensAsync(old));
        Assert.True(await OpensAsync(current));
        Assert.False(await OpensAsync(old));
        Assert.Equal(6, epochs.Highest);
    }

    [Fact]
    public void The_gate_never_goes_back()
    {
        var gate = new EpochGate();
        Assert.True(gate.Admit(3));
        Assert.False(gate.Admit(2));
        Assert.True(gate.Admit(3));
        Assert.True(gate.Admit(9));
        Parallel.For(0, 1000, i => gate.Admit(i));
        Assert.Equal(999, gate.Highest);
    }

    private static async Task<TunnelServer> StartAsync(EpochGate epochs)
    {
        var routes = new TunnelRoutes(epochs, new TargetDialler(TimeSpan.FromSeconds(5), TimeProvider.System), null, NullLoggerFactory.Instance);
        var server = new TunnelServer(routes, NullLoggerFactory.Instance);
        await server.StartAsync(Cancel);
        return server;
    }

    private static async Task<ConnectorTunnel> ConnectAsync(TunnelServer server, long attached, long opener)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var agent = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await agent.ConnectAsync(listener.LocalEndpoint, Cancel);
        var silo = await listener.AcceptSocketAsync(Cancel);
        server.Serve(new DialledConnection(new NetworkStream(agent, true), null, new Attachment("test", new AttachResponse(true, attached))));
        var id = Guid.NewGuid();
        return new ConnectorTunnel(
            new TunnelTransport(new NetworkStream(silo, true)), new AdmittedConnector(id, "c", Guid.NewGuid(), Guid.NewGuid(), ""),
            new ConnectorLease(id, opener, "here:1", Guid.NewGuid(), Guid.NewGuid(), "", TimeProvider.System.GetUtcNow(), true), 0, TimeProvider.System);
    }

    // Nothing listens on port 1: "refused" is the agent's dial, "stale" its gate.
    private static async Task<bool> OpensAsync(ConnectorTunnel tunnel)
    {
        var refusal = await Assert.ThrowsAsync<StreamOpenException>(async () =>
            await tunnel.OpenAsync(Guid.NewGuid(), StreamTarget.Tcp("127.0.0.1", 1), TimeSpan.FromSeconds(20), Cancel));
        Assert.True(refusal.Error is StreamOpenError.Refused or StreamOpenError.StaleEpoch, refusal.Message);
        return refusal.Error == StreamOpenError.Refused;
    }
}
