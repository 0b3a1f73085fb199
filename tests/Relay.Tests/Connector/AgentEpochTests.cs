using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Connector.Targets;
using Relay.Connector.Tunnel;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.Silo.Fencing;

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

    [Fact]
    public async Task While_an_attach_is_under_way_streams_wait_for_its_outcome()
    {
        var epochs = new EpochGate();
        await using var server = await StartAsync(epochs);
        using var tunnel = await ConnectAsync(server, attached: 5, opener: 5);
        Assert.True(await OpensAsync(tunnel));
        epochs.Ask();
        var waiting = OpensAsync(tunnel);
        // Ordered behind it on the same connection, and answered: the opening is held, not lost.
        Assert.True(await tunnel.PingAsync(TimeSpan.FromSeconds(60), Cancel));
        Assert.False(waiting.IsCompleted);
        epochs.Settle(known: true);
        Assert.True(await waiting);

        epochs.Ask();
        waiting = OpensAsync(tunnel);
        Assert.True(epochs.Admit(6));
        epochs.Settle(known: true);
        Assert.False(await waiting);
    }

    [Fact]
    public async Task When_an_attach_gets_no_answer_the_epochs_before_it_are_over()
    {
        var epochs = new EpochGate();
        await using var server = await StartAsync(epochs);
        using var old = await ConnectAsync(server, attached: 5, opener: 5);
        Assert.True(await OpensAsync(old));
        epochs.Ask();
        epochs.Settle(known: false);
        Assert.False(await OpensAsync(old));
        Assert.Equal(5, epochs.Highest);
        Assert.True(epochs.IsUncertain);
        // A refusal says nothing about the attach before.
        epochs.Ask();
        epochs.Settle(known: true);
        Assert.False(await OpensAsync(old));

        // The next attach says what holds.
        using var current = await ConnectAsync(server, attached: 7, opener: 7);
        Assert.True(await OpensAsync(current));
        Assert.True(epochs.Admit(7));
        Assert.False(epochs.IsUncertain);
        Assert.False(await OpensAsync(old));
    }

    [Theory]
    [InlineData(0, true)]
    [InlineData(-60_000, false)]
    public async Task A_stream_whose_right_ran_out_on_the_way_is_refused(long agentIsAheadBy, bool expected)
    {
        var epochs = new EpochGate();
        await using var server = await StartAsync(epochs);
        // The silo believes the agent's clock to show less than it does: to the agent the open comes that much too late.
        using var tunnel = await ConnectAsync(server, attached: 5, opener: 5, clock => new AgentClock((long)clock.Now.TotalMilliseconds + agentIsAheadBy, clock.Now));
        Assert.Equal(expected, await OpensAsync(tunnel));
    }

    [Fact]
    public async Task A_ping_brings_the_agents_clock()
    {
        var epochs = new EpochGate();
        await using var server = await StartAsync(epochs);
        using var tunnel = await ConnectAsync(server, attached: 5, opener: 5, clock => new AgentClock(-1_000_000_000, clock.Now));
        Assert.False(await OpensAsync(tunnel));
        Assert.True(await tunnel.PingAsync(TimeSpan.FromSeconds(60), Cancel));
        Assert.True(await OpensAsync(tunnel));
    }

    private static async Task<TunnelServer> StartAsync(EpochGate epochs)
    {
        var routes = new TunnelRoutes(epochs, new BootClock(TimeProvider.System), new TargetDialler(TimeSpan.FromSeconds(60), TimeProvider.System), null, TimeProvider.System, NullLoggerFactory.Instance);
        var server = new TunnelServer(routes, NullLoggerFactory.Instance);
        await server.StartAsync(Cancel);
        return server;
    }

    internal static SiloFence Alone()
    {
        var fence = new SiloFence(FenceTimes.Default, new Voter("here:1", Guid.NewGuid()));
        fence.Adopt([fence.Self]);
        return fence;
    }

    private static async Task<ConnectorTunnel> ConnectAsync(TunnelServer server, long attached, long opener, Func<BootClock, AgentClock?>? agentClock = null)
    {
        var clock = new BootClock(TimeProvider.System);
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var agent = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await agent.ConnectAsync(listener.LocalEndpoint, Cancel);
        var silo = await listener.AcceptSocketAsync(Cancel);
        server.Serve(new DialledConnection(new NetworkStream(agent, true), null, new Attachment("test", new AttachResponse(true, attached))));
        var id = Guid.NewGuid();
        return new ConnectorTunnel(
            new TunnelTransport(new NetworkStream(silo, true)), new AdmittedConnector(id, "c", Guid.NewGuid(), Guid.NewGuid(), ""),
            new ConnectorLease(id, opener, "here:1", Guid.NewGuid(), Guid.NewGuid(), "", TimeProvider.System.GetUtcNow(), true), clock.Now, agentClock?.Invoke(clock), new ServingRight(Alone(), clock), TimeProvider.System);
    }

    // Nothing listens on port 1: "refused" is the agent's dial, "stale" its gate.
    private static async Task<bool> OpensAsync(ConnectorTunnel tunnel)
    {
        var refusal = await Assert.ThrowsAsync<StreamOpenException>(async () =>
            await tunnel.OpenAsync(Guid.NewGuid(), StreamTarget.Tcp("127.0.0.1", 1), TimeSpan.FromSeconds(60), Cancel));
        Assert.True(refusal.Error is StreamOpenError.Refused or StreamOpenError.StaleEpoch, refusal.Message);
        return refusal.Error == StreamOpenError.Refused;
    }
}
