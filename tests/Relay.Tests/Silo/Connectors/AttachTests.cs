using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Relay.Connector;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.Silo.Fencing;

namespace Relay.Tests.Silo.Connectors;

public sealed class AttachTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_second_agent_is_told_since_when_and_from_where_and_the_first_is_not_disturbed()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", agentsAnswer: true);
        var connector = await grid.CreateConnectorAsync(silo);
        await using var first = TestAgent.Start(connector.Token);
        var tunnel = await silo.AttachedAsync(connector);
        using var target = new TcpTarget();
        var accepted = target.AcceptAsync();
        var routed = await silo.OpenAsync(target.Target, connector);
        await using var stream = routed.Stream;
        using var socket = await accepted;

        var second = TestAgent.Start(connector.Token);
        Assert.Equal(ConnectorExitCode.AlreadyConnected, await second.Exit.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel));
        var fatal = Assert.Single(second.Log.Lines, l => l.StartsWith("Critical", StringComparison.Ordinal));
        Assert.Contains($"connector {connector.Name} is already connected since 20", fatal, StringComparison.Ordinal);
        Assert.Contains("from 127.0.0.1:", fatal, StringComparison.Ordinal);

        // The very stream that was open before still carries, under the same epoch.
        await stream.WriteAsync(new byte[] { 42 }, Cancel);
        var one = new byte[1];
        Assert.Equal(1, await socket.ReceiveAsync(one, Cancel));
        Assert.Equal(42, one[0]);
        Assert.Same(tunnel, silo.Tunnels.Find(connector.Id));
        Assert.Equal(1, tunnel.Epoch);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_same_instance_re_attaches_at_once_with_the_next_epoch(bool elsewhere)
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        await using var other = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(silo);
        var instance = Guid.NewGuid();

        // The first connection is cut without a word: nobody has seen its end, and its agent answers nothing.
        await using var first = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, instance);
        await using var second = await ScriptedAgent.AttachAsync(grid, elsewhere ? other : silo, connector.Token, instance, first.Answer.Epoch);
        Assert.True(second.Answer.Accepted);
        Assert.Equal(first.Answer.Epoch + 1, second.Answer.Epoch);
        await second.ServeAsync();
        var tunnel = await (elsewhere ? other : silo).AttachedAsync(connector, second.Answer.Epoch);
        Assert.True(await tunnel.PingAsync(TimeSpan.FromSeconds(20), Cancel));
        if (!elsewhere)
        {
            // The old socket was closed first: what the silo had begun to say on it ends.
            Assert.True(await ReadToEndAsync(first.Stream) < 1024);
        }
    }

    [Fact]
    public async Task A_newcomer_is_admitted_when_the_holder_here_is_dead()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var dead = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        await silo.AttachedAsync(connector);
        await using var newcomer = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.True(newcomer.Answer.Accepted, newcomer.Answer.Message);
        Assert.Equal(2, newcomer.Answer.Epoch);
    }

    [Fact]
    public async Task A_newcomer_is_admitted_when_the_holder_on_another_silo_is_dead_and_refused_while_it_lives()
    {
        await using var holder = await TestSilo.StartAsync(grid, "silo-a", agentsAnswer: true);
        await using var silo = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(holder);
        await using var agent = await ScriptedAgent.AttachAsync(grid, holder, connector.Token, Guid.NewGuid());
        await agent.ServeAsync();
        Assert.True(await (await holder.AttachedAsync(connector)).PingAsync(TimeSpan.FromSeconds(20), Cancel));

        await using (var refused = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid()))
        {
            Assert.False(refused.Answer.Accepted);
            Assert.Equal(AttachCodes.AlreadyConnected, refused.Answer.Code);
        }

        await agent.DisposeAsync();
        await Eventually.TrueAsync(() => holder.Tunnels.Find(connector.Id) is null, "the holder sees the end");
        await using var newcomer = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.True(newcomer.Answer.Accepted, newcomer.Answer.Message);

        // Now one that hangs: its silo has a tunnel, the agent answers nothing.
        await using var again = await ScriptedAgent.AttachAsync(grid, holder, connector.Token, Guid.NewGuid());
        Assert.True(again.Answer.Accepted, again.Answer.Message);
    }

    [Fact]
    public async Task A_newcomer_waits_while_the_holders_silo_cannot_be_asked()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(silo);
        await grid.ExecuteAsync(
            "INSERT INTO connector_lease (connector_id, epoch, silo, silo_incarnation, agent_instance, expires_at) VALUES (@Id, 3, '127.0.0.1:1', gen_random_uuid(), gen_random_uuid(), now() + interval '1 hour')",
            new { connector.Id });
        await using var newcomer = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.False(newcomer.Answer.Accepted);
        Assert.Equal(AttachCodes.Unavailable, newcomer.Answer.Code);
        Assert.False(AttachCodes.IsFatal(newcomer.Answer.Code));
    }

    [Fact]
    public async Task A_newcomer_is_admitted_when_the_holders_silo_is_fenced_and_the_fence_period_is_over()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(silo);
        var dead = Guid.NewGuid();
        await grid.ExecuteAsync(
            "INSERT INTO connector_lease (connector_id, epoch, silo, silo_incarnation, agent_instance, expires_at) VALUES (@Id, 3, '127.0.0.1:1', @dead, gen_random_uuid(), now() + interval '1 hour')",
            new { connector.Id, dead });
        silo.Fence.OnFenced(dead, [[new Voter("127.0.0.1:1", dead), silo.Fence.Self]], silo.Right.Now);
        await using (var early = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid()))
            Assert.Equal(AttachCodes.Unavailable, early.Answer.Code);

        // As if it had been known for longer.
        var other = Guid.NewGuid();
        await grid.ExecuteAsync("UPDATE connector_lease SET silo_incarnation = @other WHERE connector_id = @Id", new { connector.Id, other });
        silo.Fence.OnFenced(other, [[new Voter("127.0.0.1:1", other), silo.Fence.Self]], silo.Right.Now - FenceTimes.Default.FencePeriod);

        // Not while it hears no majority itself.
        silo.Health.Update(storeDirectly: true, storeThroughPeer: false, majority: false);
        await using (var alone = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid()))
            Assert.Equal(AttachCodes.Unavailable, alone.Answer.Code);
        silo.Health.Update(storeDirectly: true, storeThroughPeer: false, majority: true);
        await using var newcomer = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.True(newcomer.Answer.Accepted, newcomer.Answer.Message);
        Assert.Equal(4, newcomer.Answer.Epoch);
    }

    [Fact]
    public async Task A_newcomer_is_admitted_when_the_lease_was_not_renewed_for_its_time()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(silo);
        // Lapsed by the database's clock, which proves nothing.
        await grid.ExecuteAsync(
            "INSERT INTO connector_lease (connector_id, epoch, silo, silo_incarnation, agent_instance, expires_at) VALUES (@Id, 3, '127.0.0.1:1', gen_random_uuid(), gen_random_uuid(), now() - interval '1 hour')",
            new { connector.Id });
        await using (var early = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid()))
            Assert.Equal(AttachCodes.Unavailable, early.Answer.Code);

        // Seen unchanged for the hard TTL by the silo's own clock.
        var lease = (await silo.Leases.ReadAsync(connector.Id, Cancel))!;
        var then = silo.Right.Now - ConnectorLeaseStore.HardTtl;
        Assert.False(silo.Watch.HasLapsed(lease with { Renewal = "another" }, then, then));
        Assert.False(silo.Watch.HasLapsed(lease, then, then));
        // Read then and looked at now: this process has stood still, and the lease was renewed meanwhile for all it knows.
        Assert.False(silo.Watch.HasLapsed(lease, then, silo.Right.Now));
        await using var newcomer = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.True(newcomer.Answer.Accepted, newcomer.Answer.Message);
        Assert.Equal(4, newcomer.Answer.Epoch);
    }

    [Fact]
    public async Task A_silo_that_has_said_an_epoch_is_over_does_not_begin_to_serve_it()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        // Somebody has read the row of an attach that is not finished here, and asks.
        Assert.Equal(HolderState.Dead, await silo.Probe.ProbeHereAsync(connector.Id, silo.Identity.Incarnation, 1, Cancel));
        await using var late = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.Equal((false, AttachCodes.Unavailable), (late.Answer.Accepted, late.Answer.Code));
        Assert.Equal(0, await ReadToEndAsync(late.Stream));
        Assert.Null(silo.Tunnels.Find(connector.Id));
    }

    [Fact]
    public async Task A_lease_of_this_silos_earlier_start_stops_nobody()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await grid.ExecuteAsync(
            "INSERT INTO connector_lease (connector_id, epoch, silo, silo_incarnation, agent_instance, expires_at) VALUES (@Id, 3, @Address, gen_random_uuid(), gen_random_uuid(), now() + interval '1 hour')",
            new { connector.Id, silo.Identity.Address });
        await using var newcomer = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.True(newcomer.Answer.Accepted, newcomer.Answer.Message);
        Assert.Equal(4, newcomer.Answer.Epoch);
    }

    [Fact]
    public async Task A_silo_that_has_just_started_does_not_vouch_for_what_its_earlier_start_has_sent()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", justStarted: true);
        var connector = await grid.CreateConnectorAsync(silo);
        await grid.ExecuteAsync(
            "INSERT INTO connector_lease (connector_id, epoch, silo, silo_incarnation, agent_instance, expires_at) VALUES (@Id, 3, @Address, gen_random_uuid(), gen_random_uuid(), now() + interval '1 hour')",
            new { connector.Id, silo.Identity.Address });
        Assert.True(silo.Right.EarlierStartsAreOver > silo.Right.Now);
        await using var newcomer = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.Equal(AttachCodes.Unavailable, newcomer.Answer.Code);
        Assert.Equal(HolderState.Dead, await silo.Probe.ProbeHereAsync(connector.Id, silo.Identity.Incarnation, 3, Cancel));
    }

    [Fact]
    public async Task An_opening_without_an_answer_delays_the_newcomer_while_it_may_still_be_taken()
    {
        var time = new ManualTimeProvider();
        await using var silo = await TestSilo.StartAsync(grid, "silo-a", keep: false, rightTime: time);
        var connector = await grid.CreateConnectorAsync(silo);
        await using var hung = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        var tunnel = await silo.AttachedAsync(connector);
        Assert.Equal(TimeSpan.MinValue, tunnel.DoubtUntil);
        // The agent answers nothing: the request is in its socket's buffer.
        using (var giveUp = new CancellationTokenSource())
        {
            var opening = tunnel.OpenAsync(Guid.NewGuid(), StreamTarget.Tcp("127.0.0.1", 1), TimeSpan.FromMinutes(1), giveUp.Token);
            await giveUp.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await opening);
        }

        Assert.True(tunnel.DoubtUntil > silo.Right.Now);
        Assert.Equal(HolderState.Unknown, await silo.Probe.ProbeHereAsync(connector.Id, silo.Identity.Incarnation, tunnel.Epoch, Cancel));
        Assert.Null(silo.Tunnels.Find(connector.Id));
        time.Advance(tunnel.DoubtUntil - silo.Right.Now + TimeSpan.FromMilliseconds(1));
        await using var newcomer = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.True(newcomer.Answer.Accepted, newcomer.Answer.Message);
    }

    [Fact]
    public async Task The_record_says_who_is_connected()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        Assert.Equal(
            $"{Environment.MachineName} silo-a",
            await grid.QueryAsync<string>("SELECT metadata->>'host' || ' ' || (metadata->>'silo') FROM connector WHERE connector_id = @Id AND last_seen_at IS NOT NULL", new { connector.Id }));
        await Eventually.TrueAsync(() => agent.Log.Lines.Any(l => l.StartsWith("Information connected to relay", StringComparison.Ordinal)), "the agent says so");
        Assert.DoesNotContain(agent.Log.Lines, l => l.Contains(connector.Token, StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_orderly_stop_releases_the_lease_at_once_and_lets_open_streams_finish()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        using var target = new TcpTarget();
        var accepted = target.AcceptAsync();
        var routed = await silo.OpenAsync(target.Target, connector);
        await using var stream = routed.Stream;
        using var socket = await accepted;

        var exit = agent.StopAsync();
        await Eventually.TrueAsync(() => silo.Tunnels.Find(connector.Id) is null, "the silo knows that it drains");
        await using var successor = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector, epoch: 2);

        // The old stream lives beside the new tunnel until it is done.
        Assert.False(exit.IsCompleted);
        await TcpTarget.SendAsync(socket, TcpTarget.Random(100_000, 1));
        socket.Shutdown(SocketShutdown.Send);
        Assert.Equal(TcpTarget.Random(100_000, 1), await TcpTarget.ReadAllAsync(stream));
        await stream.CompleteWritesAsync(Cancel);
        Assert.Equal(ConnectorExitCode.Ok, await exit.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel));
    }

    [Fact]
    public async Task A_silo_that_stops_sends_its_connectors_elsewhere()
    {
        var first = await TestSilo.StartAsync(grid, "silo-a");
        await using var second = await TestSilo.StartAsync(grid, "silo-b");
        var connector = await grid.CreateConnectorAsync(first, second);
        await using var agent = TestAgent.Start(connector.Token);
        var (from, to) = await Eventually.NotNullAsync(
            () => first.Tunnels.Find(connector.Id) is not null ? Tuple.Create(first, second) : second.Tunnels.Find(connector.Id) is not null ? Tuple.Create(second, first) : null, "attached");
        await from.DisposeAsync();
        var tunnel = await to.AttachedAsync(connector);
        Assert.Equal(2, tunnel.Epoch);
        await first.DisposeAsync();
    }

    [Fact]
    public async Task Five_hundred_silent_clients_do_not_delay_a_good_one()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        var endpoint = IPEndPoint.Parse(silo.ConnectorAddress);
        var silent = new List<Socket>();
        try
        {
            for (var i = 0; i < 500; i++)
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                silent.Add(socket);
                await socket.ConnectAsync(endpoint, Cancel);
            }

            // Whoever had to wait for one of them would wait for its handshake's deadline.
            await using var agent = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid()).WaitAsync(Relay.Protocol.Tunnel.TunnelWire.AttachDeadline, Cancel);
            Assert.True(agent.Answer.Accepted);
        }
        finally
        {
            silent.ForEach(s => s.Dispose());
        }
    }

    public static TheoryData<string> Garbage => ["empty", "huge", "negative", "zero", "short", "notjson", "null", "wrongtypes", "http"];

    [Theory]
    [MemberData(nameof(Garbage))]
    public async Task Garbage_ends_its_own_connection_and_nothing_else(string kind)
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using (var stream = await ScriptedAgent.DialAsync(grid, silo))
        {
            var bytes = kind switch
            {
                "empty" => [],
                "huge" => Frame(16 * 1024 + 1, []),
                "negative" => Frame(-1, []),
                "zero" => Frame(0, []),
                "short" => Frame(100, "{}"u8),
                "notjson" => Frame(5, "hello"u8),
                "null" => Frame(4, "null"u8),
                "wrongtypes" => Frame(16, "{\"protocol\":\"x\"}"u8),
                _ => "GET / HTTP/1.1\r\n\r\n"u8.ToArray(),
            };
            await stream.WriteAsync(bytes, Cancel);
            if (kind is "empty" or "short")
                await stream.ShutdownAsync();
            var left = await ReadToEndAsync(stream);
            Assert.True(left < 1024, $"{left} bytes of answer");
        }

        await using var good = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid());
        Assert.True(good.Answer.Accepted);
    }

    [Fact]
    public async Task An_agent_of_another_protocol_version_is_told_so()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await using var agent = await ScriptedAgent.AttachAsync(grid, silo, connector.Token, Guid.NewGuid(), protocol: 99);
        Assert.Equal(AttachCodes.ProtocolVersion, agent.Answer.Code);
    }

    private static byte[] Frame(int length, ReadOnlySpan<byte> content)
    {
        var frame = new byte[4 + content.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, length);
        content.CopyTo(frame.AsSpan(4));
        return frame;
    }

    private static async Task<int> ReadToEndAsync(Stream stream)
    {
        var buffer = new byte[4096];
        var total = 0;
        try
        {
            while (await stream.ReadAsync(buffer, Cancel) is > 0 and var read)
                total += read;
        }
        catch (IOException)
        {
            // A reset is an end as well.
        }

        return total;
    }
}
