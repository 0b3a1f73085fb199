using System.Security.Cryptography;
using System.Text;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Tests.Protocol.Ssh.Driver;

/// <summary>Both roles of our code against each other.</summary>
public sealed class SshConnectionTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Login_gives_both_sides_their_facts()
    {
        var authenticator = new TestAuthenticator();
        await using var pair = await SshPair.ConnectAsync(authenticator: authenticator, cancellationToken: Token);
        Assert.Equal("alice", pair.Server.User);
        Assert.Equal("SSH-2.0-Relay_0.1", pair.Client.PeerVersion);
        Assert.Equal(pair.Server.Algorithms, pair.Client.Algorithms);
        Assert.Equal(TestKeys.Host.PublicKey.Fingerprint, pair.Client.HostKey!.Key.Fingerprint);
        var proven = Assert.Single(authenticator.Proven);
        Assert.Equal(TestKeys.User.PublicKey.Fingerprint, proven.Key!.Fingerprint);
    }

    [Fact]
    public async Task Banner_and_refusal_reach_the_client()
    {
        var authenticator = new TestAuthenticator { Outcome = static _ => SshAuthOutcome.Disconnect("Denied: who", "Denied by policy.") };
        var error = await Assert.ThrowsAsync<SshException>(() => SshPair.ConnectAsync(authenticator: authenticator, cancellationToken: Token));
        Assert.Equal(SshDisconnectReason.NoMoreAuthMethodsAvailable, error.Reason);
        Assert.Equal("Denied by policy.", error.Message);
    }

    /// <summary>Any order of data, stderr, requests and EOF arrives as it was sent, under any byte split.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Events_arrive_in_order_and_whole(int seed)
    {
        await using var pair = await SshPair.ConnectAsync(seed: seed, cancellationToken: Token);
        var (client, server) = await pair.OpenAsync(cancellationToken: Token);
        var random = new Random(seed);
        var sent = new List<string>();
        var sending = Task.Run(async () =>
        {
            for (var i = 0; i < 300; i++)
            {
                var data = new byte[random.Next(1, 300)];
                Array.Fill(data, (byte)('a' + (i % 26)));
                switch (random.Next(3))
                {
                    case 0:
                        await client.WriteAsync(data, Token);
                        Note(sent, "D", data);
                        break;
                    case 1:
                        await client.WriteExtendedAsync(1, data, Token);
                        Note(sent, "E", data);
                        break;
                    default:
                        await client.SendRequestAsync("signal", false, data, Token);
                        sent.Add("R" + Encoding.ASCII.GetString(data));
                        break;
                }
            }

            await client.SendEofAsync(Token);
        }, Token);
        var received = new List<string>();
        while (true)
        {
            var next = await server.ReadAsync(Token);
            if (next.Kind == SshChannelEventKind.Eof)
                break;
            if (next.Kind == SshChannelEventKind.Request)
                received.Add("R" + Encoding.ASCII.GetString(next.Data.Span));
            else
                Note(received, next.Kind == SshChannelEventKind.Data ? "D" : "E", next.Data.Span);
        }

        await sending;
        Assert.Equal(sent, received);
    }

    /// <summary>Each direction ends on its own; the other goes on for as long as it wants.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Half_close_leaves_the_other_direction_open(bool clientFirst)
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        var (client, server) = await pair.OpenAsync(cancellationToken: Token);
        var (first, second) = clientFirst ? (client, server) : (server, client);
        await first.WriteAsync("request"u8.ToArray(), Token);
        await first.SendEofAsync(Token);
        Assert.Equal("request", Encoding.ASCII.GetString((await second.ReadAsync(Token)).Data.Span));
        Assert.Equal(SshChannelEventKind.Eof, (await second.ReadAsync(Token)).Kind);
        var data = RandomNumberGenerator.GetBytes(5_000_000);
        var writing = Task.Run(async () =>
        {
            await second.WriteAsync(data, Token);
            await second.SendEofAsync(Token);
        }, Token);
        var received = new MemoryStream();
        while (await first.ReadAsync(Token) is { Kind: SshChannelEventKind.Data } next)
            received.Write(next.Data.Span);
        Assert.Equal(data, received.ToArray());
        await writing;
        await Assert.ThrowsAsync<SshChannelClosedException>(() => first.WriteAsync(new byte[1], Token).AsTask());
        await first.CloseAsync(Token);
        Assert.Equal(SshChannelEventKind.Closed, (await second.ReadAsync(Token)).Kind);
        Assert.Equal(SshChannelEventKind.Closed, (await first.ReadAsync(Token)).Kind);
        Assert.Equal(SshChannelEventKind.Closed, (await first.ReadAsync(Token)).Kind);
        Assert.Equal(0, pair.Client.ChannelCount);
        Assert.Equal(0, pair.Server.ChannelCount);
    }

    [Fact]
    public async Task What_came_before_the_close_stays_readable()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        var (client, server) = await pair.OpenAsync(cancellationToken: Token);
        await server.WriteAsync("last words"u8.ToArray(), Token);
        await server.SendRequestAsync(SshExitStatus.RequestType, false, new SshExitStatus(3).ToPayload(), Token);
        await server.CloseAsync(Token);
        Assert.Equal(SshChannelEventKind.Closed, (await server.ReadAsync(Token)).Kind);
        Assert.Equal("last words", Encoding.ASCII.GetString((await client.ReadAsync(Token)).Data.Span));
        var exit = await client.ReadAsync(Token);
        Assert.True(SshExitStatus.TryParse(exit.Data.Span, out var status));
        Assert.Equal(3u, status.Status);
        Assert.Equal(SshChannelEventKind.Closed, (await client.ReadAsync(Token)).Kind);
    }

    /// <summary>Data in the same bytes as the exec, before anybody reads.</summary>
    [Fact]
    public async Task Early_data_is_kept()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        var opening = pair.Client.OpenChannelAsync("session", default, Token).AsTask();
        await using var incoming = pair.Server.IncomingAsync(Token).GetAsyncEnumerator(Token);
        Assert.True(await incoming.MoveNextAsync());
        var server = await ((SshChannelOpen)incoming.Current).AcceptAsync();
        var client = await opening;
        await client.SendRequestAsync(SshExecRequest.RequestType, false, new SshExecRequest("cat").ToPayload(), Token);
        await client.WriteAsync("early"u8.ToArray(), Token);
        await client.SendEofAsync(Token);
        await client.CloseAsync(Token);
        Assert.Equal(SshExecRequest.RequestType, (await server.ReadAsync(Token)).RequestType);
        Assert.Equal("early", Encoding.ASCII.GetString((await server.ReadAsync(Token)).Data.Span));
        Assert.Equal(SshChannelEventKind.Eof, (await server.ReadAsync(Token)).Kind);
        Assert.Equal(SshChannelEventKind.Closed, (await server.ReadAsync(Token)).Kind);
    }

    [Fact]
    public async Task Requests_are_answered_in_order()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        var (client, server) = await pair.OpenAsync(cancellationToken: Token);
        var first = client.SendRequestAsync("a", true, default, Token).AsTask();
        var second = client.SendRequestAsync("b", true, default, Token).AsTask();
        Assert.Equal("a", (await server.ReadAsync(Token)).RequestType);
        Assert.Equal("b", (await server.ReadAsync(Token)).RequestType);
        await server.ReplyAsync(true, Token);
        await server.ReplyAsync(false, Token);
        Assert.True(await first);
        Assert.False(await second);
        await Assert.ThrowsAsync<InvalidOperationException>(() => server.ReplyAsync(true, Token).AsTask());
        var unanswered = client.SendRequestAsync("c", true, default, Token).AsTask();
        await server.CloseAsync(Token);
        await Assert.ThrowsAsync<SshChannelClosedException>(() => unanswered);
    }

    [Fact]
    public async Task Global_requests_are_answered_in_the_order_they_came()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        var first = pair.Client.SendGlobalRequestAsync("tcpip-forward", true, new SshTcpipForward("", 0).ToData(), Token).AsTask();
        var keepAlive = pair.Client.SendGlobalRequestAsync("keepalive@openssh.com", true, default, Token).AsTask();
        var second = pair.Client.SendGlobalRequestAsync("other", true, default, Token).AsTask();
        await using var incoming = pair.Server.IncomingAsync(Token).GetAsyncEnumerator(Token);
        Assert.True(await incoming.MoveNextAsync());
        var one = (SshGlobalRequest)incoming.Current;
        Assert.True(await incoming.MoveNextAsync());
        var two = (SshGlobalRequest)incoming.Current;
        await two.ReplyAsync(false);
        Assert.False(keepAlive.IsCompleted);
        await one.ReplyAsync(true, new byte[] { 0, 0, 0, 22 });
        Assert.Equal(new byte[] { 0, 0, 0, 22 }, (await first).Data.ToArray());
        Assert.False((await keepAlive).Success);
        Assert.False((await second).Success);
    }

    [Fact]
    public async Task Rejected_open_says_why()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        var opening = pair.Client.OpenChannelAsync(SshTcpipOpen.Direct, new SshTcpipOpen("db", 5432, "127.0.0.1", 1).ToTypeData(), Token).AsTask();
        await foreach (var incoming in pair.Server.IncomingAsync(Token))
        {
            var open = (SshChannelOpen)incoming;
            Assert.True(SshTcpipOpen.TryParse(open.TypeData.Span, out var target));
            Assert.Equal(new("db", 5432, "127.0.0.1", 1), target);
            await open.RejectAsync(SshChannelOpenReason.AdministrativelyProhibited, "policy 7");
            await Assert.ThrowsAsync<InvalidOperationException>(() => open.AcceptAsync().AsTask());
            break;
        }

        var error = await Assert.ThrowsAsync<SshChannelOpenException>(() => opening);
        Assert.Equal(SshChannelOpenReason.AdministrativelyProhibited, error.Reason);
        Assert.Equal("policy 7", error.Description);
        Assert.Equal(0, pair.Server.ChannelCount);
        Assert.Equal(0, pair.Client.ChannelCount);
    }

    [Fact]
    public async Task Open_that_is_given_up_is_closed_when_it_is_confirmed()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        using var cancel = new CancellationTokenSource();
        var opening = pair.Client.OpenChannelAsync("session", default, cancel.Token).AsTask();
        await using var incoming = pair.Server.IncomingAsync(Token).GetAsyncEnumerator(Token);
        Assert.True(await incoming.MoveNextAsync());
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => opening);
        var channel = await ((SshChannelOpen)incoming.Current).AcceptAsync();
        Assert.Equal(SshChannelEventKind.Closed, (await channel.ReadAsync(Token)).Kind);
    }

    [Fact]
    public async Task Cancelled_read_and_write_leave_the_channel_usable()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        var (client, server) = await pair.OpenAsync(cancellationToken: Token);
        using var cancel = new CancellationTokenSource();
        var reading = server.ReadAsync(cancel.Token).AsTask();
        var writing = client.WriteAsync(new byte[SshLimits.Window * 2], cancel.Token).AsTask();
        await reading;
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing);
        await client.SendRequestAsync("signal", false, default, Token);
        SshChannelEvent next;
        do
            next = await server.ReadAsync(Token);
        while (next.Kind == SshChannelEventKind.Data);
        Assert.Equal("signal", next.RequestType);
    }

    [Fact]
    public async Task A_channel_nobody_reads_does_not_stop_the_others()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        var (stuckClient, _) = await pair.OpenAsync(cancellationToken: Token);
        var (client, server) = await pair.OpenAsync(cancellationToken: Token);
        using var cancel = new CancellationTokenSource();
        var stuck = stuckClient.WriteAsync(new byte[10_000_000], cancel.Token).AsTask();
        var data = RandomNumberGenerator.GetBytes(10_000_000);
        var writing = client.WriteAsync(data, Token).AsTask();
        Assert.Equal(data, await ReadAsync(server, data.Length));
        await writing;
        Assert.False(stuck.IsCompleted);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => stuck);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(5)]
    public async Task Rekeys_in_both_directions_while_data_flows_lose_nothing(int? seed)
    {
        var length = seed is null ? 30_000_000 : 1_000_000;
        var every = length / 20;
        await using var pair = await SshPair.ConnectAsync(
            SshPair.ServerOptions with { RekeyBytes = every },
            SshPair.ClientOptions with { RekeyBytes = every },
            seed: seed,
            cancellationToken: Token);
        var (client, server) = await pair.OpenAsync(cancellationToken: Token);
        var up = RandomNumberGenerator.GetBytes(length);
        var down = RandomNumberGenerator.GetBytes(length);
        var all = Task.WhenAll(client.WriteAsync(up, Token).AsTask(), server.WriteAsync(down, Token).AsTask());
        var received = await Task.WhenAll(Task.Run(() => ReadAsync(server, length), Token), Task.Run(() => ReadAsync(client, length), Token));
        await all;
        Assert.Equal(up, received[0]);
        Assert.Equal(down, received[1]);
        // Twenty are due; what is on its way when one begins, a window at most, may be worth several.
        Assert.InRange(pair.Client.KeyExchanges, 3, 50);
    }

    [Fact]
    public async Task Disconnect_tells_the_other_side_its_reason()
    {
        await using var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        var (client, server) = await pair.OpenAsync(cancellationToken: Token);
        await pair.Server.DisconnectAsync(SshDisconnectReason.TooManyConnections, "go away\u001b[2J");
        await pair.Client.Completion.WaitAsync(Token);
        Assert.True(pair.Client.Error!.ByPeer);
        Assert.Equal(SshDisconnectReason.TooManyConnections, pair.Client.Error.Reason);
        Assert.Equal("go away [2J", pair.Client.Error.Message);
        Assert.Equal(SshChannelEventKind.Closed, (await client.ReadAsync(Token)).Kind);
        Assert.Equal(SshChannelEventKind.Closed, (await server.ReadAsync(Token)).Kind);
        await Assert.ThrowsAsync<SshChannelClosedException>(() => client.WriteAsync(new byte[1], Token).AsTask());
        await Assert.ThrowsAsync<SshException>(() => pair.Client.OpenChannelAsync("session", default, Token).AsTask());
        await Assert.ThrowsAsync<SshException>(() => pair.Client.SendGlobalRequestAsync("x", true, default, Token).AsTask());
        await foreach (var _ in pair.Client.IncomingAsync(Token))
            Assert.Fail("nothing comes on an ended connection");
        Assert.True(pair.Client.Closed.IsCancellationRequested);
    }

    [Fact]
    public async Task Orderly_end_is_no_error()
    {
        var pair = await SshPair.ConnectAsync(cancellationToken: Token);
        await pair.Client.DisposeAsync();
        await pair.Server.Completion.WaitAsync(Token);
        Assert.Null(pair.Client.Error);
        Assert.Null(pair.Server.Error);
        await pair.DisposeAsync();
    }

    [Fact]
    public async Task Keep_alives_are_sent_after_silence_and_three_without_answer_end_the_connection()
    {
        var time = new ManualTimeProvider();
        var (a, b) = MemoryDuplex.Create();
        var accepting = SshConnection.AcceptAsync(b, SshPair.ServerOptions with { TimeProvider = time, KeepAliveInterval = TimeSpan.FromSeconds(5) }, new TestAuthenticator(), Token).AsTask();
        await using var client = new ScriptedPeer(a, SshRole.Client);
        await client.LogInAsync();
        await using var server = await accepting;
        for (var i = 0; i < 3; i++)
        {
            time.Advance(TimeSpan.FromSeconds(5));
            time.Advance(TimeSpan.FromSeconds(5));
            Assert.Equal(SshMessageNumber.GlobalRequest, (await client.ReceiveAsync()).Span[0]);
            if (i == 0)
                client.Send(SshMessageNumber.RequestFailure);
        }

        for (var i = 0; i < 6; i++)
            time.Advance(TimeSpan.FromSeconds(5));
        await client.DisposeAsync();
        await server.Completion.WaitAsync(TimeSpan.FromSeconds(60), Token);
        Assert.Equal(SshDisconnectReason.ConnectionLost, server.Error!.Reason);
    }

    /// <summary>A peer that leaves resets its stream: what it said before that counts, not the write that failed.</summary>
    [Fact]
    public async Task A_goodbye_that_is_read_after_a_write_has_failed_is_heard()
    {
        var (a, b) = MemoryDuplex.Create();
        // It waits half a second for last words, by a clock that does not go on.
        var accepting = SshConnection.AcceptAsync(b, SshPair.ServerOptions with { TimeProvider = new ManualTimeProvider() }, new TestAuthenticator(), Token).AsTask();
        await using var client = await SshConnection.ConnectAsync(a, SshPair.ClientOptions, Token);
        await using var server = await accepting;
        var reading = new TaskCompletionSource();
        var failed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        b.Pause = () => reading.Task;
        b.OnWrite = () =>
        {
            failed.TrySetResult();
            throw new IOException("reset by peer");
        };
        await server.SendGlobalRequestAsync("anything", false, default, Token);
        await failed.Task.WaitAsync(Token);
        var leaving = client.DisconnectAsync(SshDisconnectReason.ByApplication, "disconnected by user").AsTask();
        reading.SetResult();
        await server.Completion.WaitAsync(Token);
        Assert.Null(server.Error);
        Assert.False(server.IsCut);
        await leaving;
    }

    /// <summary>Small steps of the window are waited out for a while, but never for ever.</summary>
    [Fact]
    public async Task A_peer_that_opens_its_window_by_crumbs_is_served_with_the_next_tick()
    {
        var time = new ManualTimeProvider();
        var (a, b) = MemoryDuplex.Create();
        var connecting = SshConnection.ConnectAsync(a, SshPair.ClientOptions with { TimeProvider = time }, Token).AsTask();
        await using var server = new ScriptedPeer(b, SshRole.Server);
        await server.AcceptLoginAsync();
        await using var connection = await connecting;
        var opening = connection.OpenChannelAsync("session", default, Token).AsTask();
        await server.ReceiveAsync();
        server.Send(static writer => SshChannelMessages.OpenConfirmation(writer, 0, 9, 1000, []));
        var channel = await opening;
        var writing = channel.WriteAsync(new byte[2000], Token).AsTask();
        Assert.Equal(1000 + 9, (await server.ReceiveAsync()).Length);
        server.Send(static writer => SshChannelMessages.WindowAdjust(writer, 0, 100));
        // The answer to a later message shows that the adjust was handled.
        server.Send(static writer => SshChannelMessages.GlobalRequest(writer, "keepalive@openssh.com", true, []));
        Assert.Equal(SshMessageNumber.RequestFailure, (await server.ReceiveAsync()).Span[0]);
        time.Advance(TimeSpan.FromSeconds(10));
        Assert.Equal(100 + 9, (await server.ReceiveAsync()).Length);
        server.Send(static writer => SshChannelMessages.WindowAdjust(writer, 0, 900));
        Assert.Equal(900 + 9, (await server.ReceiveAsync()).Length);
        await writing;
        // The farewell's deadline is on the manual clock too: the stream ends first.
        await server.DisposeAsync();
    }

    private static void Note(List<string> list, string kind, ReadOnlySpan<byte> data)
    {
        var text = Encoding.ASCII.GetString(data);
        if (list.Count > 0 && list[^1].StartsWith(kind, StringComparison.Ordinal))
            list[^1] += text;
        else
            list.Add(kind + text);
    }

    private static async Task<byte[]> ReadAsync(SshChannel channel, int length)
    {
        var received = new MemoryStream();
        while (received.Length < length)
        {
            var next = await channel.ReadAsync(Token);
            Assert.Equal(SshChannelEventKind.Data, next.Kind);
            received.Write(next.Data.Span);
        }

        return received.ToArray();
    }
}
