using System.Security.Cryptography;
using System.Text;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Tests.Protocol.Ssh.Driver;

/// <summary>Scripted clients against our server: each line of bad input ends the connection with the right code, and only it.</summary>
public sealed class HostileClientTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("GET / HTTP/1.1\r\nHost: x\r\n\r\n")]
    [InlineData("SSH-1.5-old\r\n")]
    [InlineData("\u0016\u0003\u0001\u0002")]
    public async Task Garbage_instead_of_identification(string greeting)
    {
        var (client, accepting) = Start();
        await client.WriteAsync(Encoding.Latin1.GetBytes(greeting), Token);
        await FailsAsync(accepting, SshDisconnectReason.ProtocolVersionNotSupported);
        Assert.Equal(SshDisconnectReason.ProtocolVersionNotSupported, await PlainDisconnectReasonAsync(client));
    }

    [Fact]
    public async Task Identification_without_end()
    {
        var (client, accepting) = Start();
        await client.WriteAsync(Encoding.ASCII.GetBytes("SSH-2.0-" + new string('x', 300)), Token);
        await FailsAsync(accepting, SshDisconnectReason.ProtocolVersionNotSupported);
    }

    [Fact]
    public async Task Garbage_instead_of_KEXINIT()
    {
        // Random lengths are nearly always out of bounds: PROTOCOL_ERROR.
        var (client, accepting) = Start();
        await client.WriteAsync("SSH-2.0-x\r\n"u8.ToArray(), Token);
        await client.WriteAsync(Enumerable.Repeat((byte)0xee, 64).ToArray(), Token);
        await FailsAsync(accepting, SshDisconnectReason.ProtocolError);
        Assert.Equal(SshDisconnectReason.ProtocolError, await PlainDisconnectReasonAsync(client));
    }

    [Theory]
    [InlineData(SshMessageNumber.NewKeys)]
    [InlineData(SshMessageNumber.KexEcdhInit)]
    [InlineData(SshMessageNumber.KexEcdhReply)]
    [InlineData(SshMessageNumber.ServiceRequest)]
    [InlineData(SshMessageNumber.UserAuthRequest)]
    [InlineData(SshMessageNumber.UserAuthSuccess)]
    [InlineData(SshMessageNumber.ChannelOpen)]
    [InlineData(255)]
    [InlineData(0)]
    public async Task Anything_but_KEXINIT_as_first_packet(byte number)
    {
        var (client, accepting) = Start();
        var writer = new SshPacketWriter();
        writer.WriteRaw("SSH-2.0-x\r\n"u8);
        writer.Write([number, 0, 0, 0, 0]);
        await client.WriteAsync(writer.Take(), Token);
        await FailsAsync(accepting, SshDisconnectReason.ProtocolError);
        Assert.Equal(SshDisconnectReason.ProtocolError, await PlainDisconnectReasonAsync(client));
    }

    [Fact]
    public async Task KEXINIT_twice()
    {
        var (client, accepting) = Start();
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        peer.Link.Start();
        lock (peer.Link.Gate)
            peer.Transport.Writer.Write(new SshKexInit(["curve25519-sha256"], ["ssh-ed25519"], ["aes256-ctr"], ["aes256-ctr"], [], [], ["none"], ["none"], false).ToPayload());
        peer.Link.Flush();
        await FailsAsync(accepting, SshDisconnectReason.ProtocolError);
    }

    /// <summary>L2: CHANNEL_OPEN and exec as first packets after the key exchange.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Channel_messages_before_authentication(bool afterService)
    {
        var authenticator = new TestAuthenticator();
        var (client, accepting) = Start(authenticator);
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.KeyExchangeAsync();
        if (afterService)
        {
            peer.Send(static writer => Message(writer, SshMessageNumber.ServiceRequest, "ssh-userauth"));
            await peer.ReceiveAsync();
        }

        peer.Send(static writer => SshChannelMessages.Open(writer, "session", 0, 1 << 20, []));
        peer.Send(static writer => SshChannelMessages.Request(writer, 0, "exec", false, new SshExecRequest("touch /tmp/owned").ToPayload()));
        await FailsAsync(accepting, SshDisconnectReason.ProtocolError);
        Assert.Equal(SshDisconnectReason.ProtocolError, await peer.DisconnectReasonAsync());
        Assert.Empty(authenticator.Proven);
        Assert.Empty(authenticator.Offered);
    }

    /// <summary>L1: what a server would say, said by a client.</summary>
    [Theory]
    [InlineData(SshMessageNumber.UserAuthSuccess)]
    [InlineData(SshMessageNumber.UserAuthFailure)]
    [InlineData(SshMessageNumber.UserAuthPkOk)]
    [InlineData(SshMessageNumber.ServiceAccept)]
    public async Task Client_that_says_it_is_authenticated(byte number)
    {
        var (client, accepting) = Start();
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.KeyExchangeAsync();
        peer.Send(number);
        await FailsAsync(accepting, SshDisconnectReason.ProtocolError);
        Assert.Equal(SshDisconnectReason.ProtocolError, await peer.DisconnectReasonAsync());
    }

    [Fact]
    public async Task Other_service_than_userauth()
    {
        var (client, accepting) = Start();
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.KeyExchangeAsync();
        peer.Send(static writer => Message(writer, SshMessageNumber.ServiceRequest, "ssh-connection"));
        await FailsAsync(accepting, SshDisconnectReason.ServiceNotAvailable);
        Assert.Equal(SshDisconnectReason.ServiceNotAvailable, await peer.DisconnectReasonAsync());
    }

    [Fact]
    public async Task Corrupted_packet_after_the_key_exchange()
    {
        var (client, accepting) = Start();
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.KeyExchangeAsync();
        peer.SendRaw([0, 0, 0, 32, .. new byte[48]]);
        await FailsAsync(accepting, SshDisconnectReason.MacError);
        Assert.Equal(SshDisconnectReason.MacError, await peer.DisconnectReasonAsync());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(16)]
    [InlineData(SshLimits.MaximumPacketLengthBeforeAuth + 16)]
    [InlineData(-16)]
    public async Task Length_out_of_bounds_after_the_key_exchange(int length)
    {
        var (client, accepting) = Start();
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.KeyExchangeAsync();
        peer.SendRaw([(byte)(length >> 24), (byte)(length >> 16), (byte)(length >> 8), (byte)length, .. new byte[16 + 16]]);
        await FailsAsync(accepting, length == 16 ? SshDisconnectReason.MacError : SshDisconnectReason.ProtocolError);
    }

    [Fact]
    public async Task Truncated_packet_and_then_the_end()
    {
        var (client, accepting) = Start();
        await client.WriteAsync("SSH-2.0-x\r\n"u8.ToArray(), Token);
        await client.WriteAsync(new byte[] { 0, 0, 1, 4, 5 }, Token);
        await client.DisposeAsync();
        await FailsAsync(accepting, SshDisconnectReason.ConnectionLost);
    }

    /// <summary>L18: 1,000 half-open logins end at the deadline; a good one is not held up.</summary>
    [Fact]
    public async Task Half_open_logins_end_at_the_grace_time()
    {
        var time = new ManualTimeProvider();
        var options = SshPair.ServerOptions with { TimeProvider = time, LoginGraceTime = TimeSpan.FromSeconds(30) };
        var waiting = new List<(MemoryDuplex Client, Task<SshConnection> Accepting)>();
        for (var i = 0; i < 1000; i++)
        {
            var (a, b) = MemoryDuplex.Create();
            waiting.Add((a, SshConnection.AcceptAsync(b, options, new TestAuthenticator(), Token).AsTask()));
            if (i % 2 == 0)
                await a.WriteAsync("SSH-2.0-slow"u8.ToArray(), Token);
        }

        await using (var good = await SshPair.ConnectAsync(cancellationToken: Token))
            Assert.Equal("alice", good.Server.User);
        Assert.All(waiting, static pair => Assert.False(pair.Accepting.IsCompleted));
        time.Advance(TimeSpan.FromSeconds(29));
        Assert.All(waiting, static pair => Assert.False(pair.Accepting.IsCompleted));
        // Their streams end too, so that the farewell does not wait for its own deadline on the manual clock.
        time.Advance(TimeSpan.FromSeconds(1));
        foreach (var (client, accepting) in waiting)
        {
            await client.DisposeAsync();
            var error = await Assert.ThrowsAsync<SshException>(() => accepting);
            Assert.Equal("The login took too long.", error.Message);
        }
    }

    [Fact]
    public async Task Slow_client_that_sends_byte_by_byte_is_served()
    {
        await using var pair = await SshPair.ConnectAsync(seed: 7, cancellationToken: Token);
        var (client, server) = await pair.OpenAsync(cancellationToken: Token);
        var data = RandomNumberGenerator.GetBytes(100_000);
        var writing = client.WriteAsync(data, Token).AsTask();
        Assert.Equal(data, await ReadAsync(server, data.Length));
        await writing;
    }

    /// <summary>L10: opens beyond the cap are refused, refused ones take no place, and 10,000 of them no memory.</summary>
    [Fact]
    public async Task Thousands_of_channels()
    {
        var (client, accepting) = Start(options: SshPair.ServerOptions with { MaxChannels = 10 });
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.LogInAsync();
        await using var server = await accepting;
        var serving = Task.Run(async () =>
        {
            await foreach (var incoming in server.IncomingAsync(Token))
            {
                var open = (SshChannelOpen)incoming;
                if (open.ChannelType == "no")
                    await open.RejectAsync(SshChannelOpenReason.AdministrativelyProhibited, "no");
                else
                    await open.AcceptAsync();
            }
        }, Token);
        var refused = 0;
        for (var i = 0; i < 10_000; i++)
        {
            peer.Send(writer => SshChannelMessages.Open(writer, "no", (uint)i, 1 << 20, []));
            Assert.Equal(SshMessageNumber.ChannelOpenFailure, (await peer.ReceiveAsync()).Span[0]);
        }

        for (var i = 0; i < 50; i++)
        {
            peer.Send(writer => SshChannelMessages.Open(writer, "session", (uint)i, 1 << 20, []));
            var answer = await peer.ReceiveAsync();
            if (answer.Span[0] != SshMessageNumber.ChannelOpenFailure)
                continue;
            refused++;
            Assert.Equal((byte)SshChannelOpenReason.ResourceShortage, answer.Span[8]);
        }

        Assert.Equal(40, refused);
        Assert.Equal(10, server.ChannelCount);
        await server.DisposeAsync();
        await serving;
    }

    [Fact]
    public async Task Channel_opens_nobody_takes_are_refused_beyond_the_queue()
    {
        var (client, accepting) = Start(options: SshPair.ServerOptions with { MaxChannels = 1000 });
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.LogInAsync();
        await using var server = await accepting;
        for (var i = 0; i < SshLimits.IncomingQueue + 1; i++)
            peer.Send(writer => SshChannelMessages.Open(writer, "session", (uint)i, 1 << 20, []));
        Assert.Equal(SshMessageNumber.ChannelOpenFailure, (await peer.ReceiveAsync()).Span[0]);
        Assert.Equal(SshLimits.IncomingQueue, server.ChannelCount);
    }

    public static TheoryData<string> Violations =>
    [
        "window overflow", "data beyond window", "data too large", "data after eof", "data after close", "eof twice", "unknown channel",
        "confirmation of nothing", "failure of nothing", "data before confirmation", "truncated data", "long string", "empty request", "kexinit inside kex",
    ];

    [Theory]
    [MemberData(nameof(Violations))]
    public async Task Violation_of_the_connection_protocol(string what)
    {
        var (client, accepting) = Start();
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.LogInAsync();
        await using var server = await accepting;
        peer.Send(static writer => SshChannelMessages.Open(writer, "session", 5, 1 << 20, []));
        if (what != "data before confirmation")
            await TakeAsync(server);
        byte[] data = new byte[SshLimits.MaximumChannelData];
        switch (what)
        {
            case "window overflow":
                peer.Send(static writer => SshChannelMessages.WindowAdjust(writer, 0, uint.MaxValue - (1 << 20)));
                peer.Send(static writer => SshChannelMessages.WindowAdjust(writer, 0, 1));
                break;
            case "data beyond window":
                for (var i = 0; i <= SshLimits.Window / data.Length; i++)
                    Data(peer, 0, data);
                break;
            case "data too large":
                Data(peer, 0, [.. data, 1]);
                break;
            case "data after eof":
                peer.Send(static writer => SshChannelMessages.Short(writer, SshMessageNumber.ChannelEof, 0));
                Data(peer, 0, data);
                break;
            case "data after close":
                peer.Send(static writer => SshChannelMessages.Short(writer, SshMessageNumber.ChannelClose, 0));
                Data(peer, 0, data);
                break;
            case "eof twice":
                peer.Send(static writer => SshChannelMessages.Short(writer, SshMessageNumber.ChannelEof, 0));
                peer.Send(static writer => SshChannelMessages.Short(writer, SshMessageNumber.ChannelEof, 0));
                break;
            case "unknown channel":
                Data(peer, uint.MaxValue, data);
                break;
            case "confirmation of nothing":
                peer.Send(static writer => SshChannelMessages.OpenConfirmation(writer, 0, 9, 1000, []));
                break;
            case "failure of nothing":
                peer.Send(static writer => SshChannelMessages.OpenFailure(writer, 0, SshChannelOpenReason.ConnectFailed, ""));
                break;
            case "data before confirmation":
                Data(peer, 0, data);
                break;
            case "truncated data":
                peer.Send(SshMessageNumber.ChannelData, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3);
                break;
            case "long string":
                peer.Send(SshMessageNumber.ChannelRequest, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff);
                break;
            case "empty request":
                peer.Send(SshMessageNumber.GlobalRequest);
                break;
            case "kexinit inside kex":
                lock (peer.Link.Gate)
                    peer.Transport.Rekey(default);
                peer.Send(SshMessageNumber.KexInit);
                break;
        }

        Assert.Equal(SshDisconnectReason.ProtocolError, await peer.DisconnectReasonAsync());
        await server.Completion.WaitAsync(Token);
        Assert.Equal(SshDisconnectReason.ProtocolError, server.Error!.Reason);
        Assert.False(server.Error.ByPeer);
        Assert.True(server.Closed.IsCancellationRequested);
    }

    [Fact]
    public async Task Peer_that_asks_and_never_reads_is_cut()
    {
        var (client, accepting) = Start();
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.LogInAsync();
        await using var server = await accepting;
        try
        {
            for (var i = 0; i < 500_000 && !server.Completion.IsCompleted; i++)
            {
                peer.Send(static writer => SshChannelMessages.GlobalRequest(writer, "keepalive@openssh.com", true, []));
                // The memory duplex takes 256 KiB: wait for the send loop now and then.
                while (peer.Transport.Writer.Pending > 100_000 && !server.Completion.IsCompleted)
                    await Task.Yield();
            }
        }
        catch (IOException)
        {
            // Cut already.
        }

        await server.Completion.WaitAsync(TimeSpan.FromSeconds(60), Token);
        Assert.Equal(SshDisconnectReason.ProtocolError, server.Error!.Reason);
    }

    [Fact]
    public async Task Requests_after_success_are_ignored_and_the_connection_goes_on()
    {
        var (client, accepting) = Start();
        await using var peer = new ScriptedPeer(client, SshRole.Client);
        await peer.LogInAsync();
        await using var server = await accepting;
        peer.Send(SshMessageNumber.UserAuthRequest, 1, 2, 3);
        peer.Send(static writer => SshChannelMessages.GlobalRequest(writer, "keepalive@openssh.com", true, []));
        Assert.Equal(SshMessageNumber.RequestFailure, (await peer.ReceiveAsync()).Span[0]);
    }

    private static (MemoryDuplex Client, Task<SshConnection> Accepting) Start(ISshServerAuthenticator? authenticator = null, SshServerOptions? options = null)
    {
        var (a, b) = MemoryDuplex.Create();
        return (a, SshConnection.AcceptAsync(b, options ?? SshPair.ServerOptions, authenticator ?? new TestAuthenticator(), Token).AsTask());
    }

    private static async Task FailsAsync(Task<SshConnection> accepting, SshDisconnectReason reason)
    {
        var error = await Assert.ThrowsAsync<SshException>(() => accepting.WaitAsync(TimeSpan.FromSeconds(60), Token));
        Assert.Equal(reason, error.Reason);
        Assert.False(error.ByPeer);
    }

    // Before any key: the DISCONNECT is the last packet in the clear.
    private static async Task<SshDisconnectReason> PlainDisconnectReasonAsync(Stream stream)
    {
        var received = new MemoryStream();
        await stream.CopyToAsync(received, Token);
        var bytes = received.ToArray();
        var reader = new SshPacketReader();
        var rest = bytes.AsMemory(bytes.AsSpan().IndexOf((byte)'\n') + 1);
        while (reader.TryRead(rest.Span, out var consumed, out var start, out var length, out _))
        {
            var payload = rest.Slice(start, length);
            if (payload.Span[0] == SshMessageNumber.Disconnect)
                return SshDisconnectMessage.Parse(payload.Span).Reason;
            rest = rest[consumed..];
        }

        return SshDisconnectReason.None;
    }

    private static void Message(SshWriter writer, byte number, string text)
    {
        writer.WriteByte(number);
        writer.WriteString(text);
    }

    private static void Data(ScriptedPeer peer, uint channel, byte[] data)
    {
        lock (peer.Link.Gate)
            SshChannelMessages.Data(peer.Transport.Writer, channel, null, data);
        peer.Link.Flush();
    }

    private static async Task<SshChannel> TakeAsync(SshConnection server)
    {
        await foreach (var incoming in server.IncomingAsync(Token))
            return await ((SshChannelOpen)incoming).AcceptAsync();
        throw new InvalidOperationException("The connection ended.");
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
