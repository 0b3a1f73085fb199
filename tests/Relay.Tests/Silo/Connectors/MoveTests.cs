using System.Collections.Concurrent;
using System.Net.Sockets;
using Relay.Connector.Tunnel;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.TestKit;

namespace Relay.Tests.Silo.Connectors;

/// <summary>An agent that changes its silo: the new tunnel first, open streams stay, nothing that is opened meanwhile fails.</summary>
public sealed class MoveTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_draining_silo_hands_its_connector_over_before_it_lets_go()
    {
        await using var leaving = await TestSilo.StartAsync(grid, "silo-a");
        await using var staying = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(leaving);
        await using var agent = TestAgent.Start(connector.Token);
        var old = await leaving.AttachedAsync(connector);
        using var target = new TcpTarget();
        var (user, server) = await OpenAsync(leaving, target, connector);

        // From both silos, all the time, while it moves.
        using var enough = new CancellationTokenSource();
        var failures = new ConcurrentQueue<string>();
        var opened = new ConcurrentDictionary<string, int>();
        var openers = new[] { leaving, staying }.Select(silo => OpenForeverAsync(silo, connector, opened, failures, enough.Token)).ToArray();
        await Eventually.TrueAsync(() => opened.Count == 2 || !failures.IsEmpty, "both silos open streams");
        // Not before: an agent that hears of it goes at once.
        Announce(leaving, (leaving, SiloAnnouncement.Draining), (staying, SiloAnnouncement.Active));
        await leaving.Listener.LeaveAsync();
        var moved = await staying.AttachedAsync(connector, old.Epoch + 1);
        await Eventually.TrueAsync(() => leaving.Tunnels.Find(connector.Id) is null, "the old silo lets go");
        var before = opened.ToArray();
        await Eventually.TrueAsync(() => before.All(b => opened[b.Key] > b.Value) || !failures.IsEmpty, "both go on");
        await enough.CancelAsync();
        await Task.WhenAll(openers);
        Assert.True(failures.IsEmpty, string.Join("\n", failures));
        Assert.Equal(old.Epoch + 1, moved.Epoch);
        Assert.Equal(old.Lease.AgentInstance, moved.Lease.AgentInstance);

        // The stream that was open goes on over the old connection, which ends with it.
        await RoundTripAsync(user, server);
        Assert.Equal(1, leaving.Listener.Serving);
        var routed = await leaving.OpenAsync(target.Target, connector);
        Assert.Equal((staying.Identity.Address, 2), (routed.Silo, routed.Hops));
        await routed.Stream.DisposeAsync();
        await user.CompleteWritesAsync(Cancel);
        server.Shutdown(SocketShutdown.Send);
        Assert.Equal(0, await user.ReadAsync(new byte[1], Cancel));
        await user.DisposeAsync();
        server.Dispose();
        await Eventually.TrueAsync(() => leaving.Listener.Serving == 0, "the old connection is over");
        Assert.Contains(agent.Log.Lines, l => l.Contains("moved to another server", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Without_another_silo_the_agent_stays_until_the_last_moment()
    {
        await using var only = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(only);
        await using var agent = TestAgent.Start(connector.Token);
        var tunnel = await only.AttachedAsync(connector);
        await only.Listener.LeaveAsync();
        await Eventually.TrueAsync(() => agent.Log.Lines.Any(l => l.Contains("as requested by server", StringComparison.Ordinal)), "the agent was told");
        using var target = new TcpTarget();
        var (user, server) = await OpenAsync(only, target, connector);
        await RoundTripAsync(user, server);
        await user.DisposeAsync();
        server.Dispose();
        Assert.Equal(tunnel.Epoch, only.Tunnels.Find(connector.Id)?.Epoch);
    }

    [Fact]
    public async Task An_agent_goes_where_the_grid_says_though_no_token_names_it()
    {
        await using var first = await TestSilo.StartAsync(grid, "silo-a");
        await using var second = await TestSilo.StartAsync(grid, "silo-b");
        await using var third = await TestSilo.StartAsync(grid, "silo-c");
        var connector = await grid.CreateConnectorAsync(first);
        await using var agent = TestAgent.Start(connector.Token);
        var tunnel = await first.AttachedAsync(connector);
        first.Announcements.Announce(1, (first, SiloAnnouncement.Draining), (second, SiloAnnouncement.Active));
        var moved = await second.AttachedAsync(connector, tunnel.Epoch + 1);
        Assert.Equal(tunnel.Lease.AgentInstance, moved.Lease.AgentInstance);
        second.Announcements.Announce(2, (second, SiloAnnouncement.Draining), (third, SiloAnnouncement.Active));
        var again = await third.AttachedAsync(connector, moved.Epoch + 1);
        Assert.Equal(moved.Epoch + 1, again.Epoch);
        Assert.Equal(tunnel.Lease.AgentInstance, again.Lease.AgentInstance);
    }

    [Fact]
    public async Task A_silent_silo_is_noticed_by_what_it_said_of_its_next_sign_of_life()
    {
        var time = new ManualTimeProvider();
        var attachment = new Attachment("a", new AttachResponse(true, 1)) { Time = time, Slack = TimeSpan.FromMilliseconds(500) };

        // An older silo says nothing: it is never silent.
        time.Advance(TimeSpan.FromHours(1));
        Assert.False(attachment.Silent.IsCompleted);
        attachment.Hear(new TunnelMessage("ping", 1000));
        time.Advance(TimeSpan.FromMilliseconds(1499));
        attachment.Hear(new TunnelMessage("ping", 1000));
        time.Advance(TimeSpan.FromMilliseconds(1499));
        Assert.False(attachment.Silent.IsCompleted);
        time.Advance(TimeSpan.FromMilliseconds(1));
        await attachment.Silent.WaitAsync(Cancel);

        // Heard again: not silent any more.
        attachment.Hear(new TunnelMessage("something new"));
        Assert.False(attachment.Silent.IsCompleted);
        attachment.Retire();
        attachment.Hear(new TunnelMessage("ping", 1));
        time.Advance(TimeSpan.FromHours(1));
        Assert.False(attachment.Silent.IsCompleted);
    }

    private static void Announce(TestSilo at, params (TestSilo Silo, string State)[] silos) => at.Announcements.Announce(1, silos);

    private static async Task OpenForeverAsync(TestSilo silo, TestConnector connector, ConcurrentDictionary<string, int> opened, ConcurrentQueue<string> failures, CancellationToken enough)
    {
        using var target = new TcpTarget();
        var answering = AnswerForeverAsync(target);
        var buffer = new byte[1];
        while (!enough.IsCancellationRequested)
        {
            try
            {
                await using var user = (await silo.OpenAsync(target.Target, connector)).Stream;
                await user.WriteAsync(new byte[] { 42 }, Cancel);
                Assert.Equal(1, await user.ReadAsync(buffer, Cancel));
                Assert.Equal(42, buffer[0]);
                opened.AddOrUpdate(silo.Identity.Name, 1, (_, n) => n + 1);
            }
            catch (IOException e)
            {
                failures.Enqueue($"{silo.Identity.Name}: {e.Message}");
                break;
            }
        }

        target.Dispose();
        await answering;
    }

    // One byte each. Not every connection asks for it: the agent hangs up on a target when its epoch ended while it dialled, and the
    // stream is opened once more on the new tunnel.
    private static async Task AnswerForeverAsync(TcpTarget target)
    {
        var buffer = new byte[1];
        while (true)
        {
            try
            {
                using var server = await target.AcceptAsync();
                if (await server.ReceiveAsync(buffer, Cancel) == 1)
                    await TcpTarget.SendAsync(server, buffer);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
            {
                // Hung up.
            }
            catch (Exception e) when (e is ObjectDisposedException or SocketException)
            {
                return;
            }
        }
    }

    private static async Task<(DuplexStream User, Socket Server)> OpenAsync(TestSilo silo, TcpTarget target, TestConnector connector)
    {
        var accepted = target.AcceptAsync();
        var routed = await silo.OpenAsync(target.Target, connector);
        return (routed.Stream, await accepted);
    }

    private static async Task RoundTripAsync(DuplexStream user, Socket server)
    {
        await user.WriteAsync(new byte[] { 42 }, Cancel);
        Assert.Equal(1, await server.ReceiveAsync(new byte[1], Cancel));
        await TcpTarget.SendAsync(server, new byte[] { 43 });
        Assert.Equal(1, await user.ReadAsync(new byte[1], Cancel));
    }
}
