using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>From a device with the stock wireguard-go to a target behind the gateway.</summary>
public sealed class DataPathTests
{
    private const int UploadPort = 9, DownloadPort = 19;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Tcp_and_udp_of_both_families_reach_what_was_dialled()
    {
        await using var site = await TunnelSite.StartAsync();
        site.ServeEcho();
        var client = await site.AddClientAsync();
        foreach (var (address, own) in ((string, string)[])[(TunnelSite.Resource, client.Address), (TunnelSite.Resource6, $"[{client.Address6}]")])
        {
            await EchoTcpAsync(client, address);
            await EchoUdpAsync(client, address, 1);
            // Fragments inside, both ways.
            await EchoUdpAsync(client, address, 4000);
            await EchoBurstAsync(client, address);
            var dialled = address.Contains(':') ? $"[{address}]:7" : $"{address}:7";
            await site.Host.WaitForLineAsync($"ended Tcp {dialled} Completed up=5 down=5");
            Assert.Matches($"asked Tcp {client.Id} {System.Text.RegularExpressions.Regex.Escape(own)}:[0-9]+ {System.Text.RegularExpressions.Regex.Escape(dialled)}", site.Host.Output);
        }
    }

    [Theory]
    [InlineData(false, 1500, 1420, "")]
    [InlineData(true, 1500, 1420, "")]
    // The cable is narrower than what the tunnel makes: it is fragmented outside, not lost.
    [InlineData(false, 1300, 1420, "")]
    [InlineData(true, 1300, 1420, "")]
    [InlineData(false, 1360, 1280, "mtu=1280")]
    [InlineData(false, 1500, 1280, "")]
    [InlineData(false, 1500, 1420, "plain")]
    [InlineData(true, 1500, 1420, "queues=2")]
    public async Task Every_byte_arrives_both_ways(bool outsideIPv6, int outsideMtu, int mtu, string setting)
    {
        await using var site = await TunnelSite.StartAsync(setting.Length > 0 ? [setting] : []);
        ServeBulk(site);
        var client = await site.AddClientAsync(outsideIPv6, outsideMtu, mtu);
        await UploadAsync(client, TunnelSite.Resource, 8 << 20);
        await DownloadAsync(client, TunnelSite.Resource6, 8 << 20);
    }

    [Fact]
    public async Task Half_a_gigabyte_arrives_whole_both_ways()
    {
        await using var site = await TunnelSite.StartAsync();
        ServeBulk(site);
        var client = await site.AddClientAsync();
        await UploadAsync(client, TunnelSite.Resource, 500_000_000);
        await DownloadAsync(client, TunnelSite.Resource, 500_000_000);
    }

    [Fact]
    public async Task A_thousand_flows_at_once()
    {
        await using var site = await TunnelSite.StartAsync();
        site.ServeEcho();
        var client = await site.AddClientAsync();
        await EchoTcpAsync(client, TunnelSite.Resource);
        var flows = new List<NetworkStream>();
        for (var i = 0; i < 1000; i += 100)
            flows.AddRange(await Task.WhenAll(Enumerable.Range(i, 100).Select(n => client.ConnectAsync(n % 2 == 0 ? TunnelSite.Resource : TunnelSite.Resource6, TunnelSite.EchoPort))));
        // All are open before the first is used.
        await Task.WhenAll(flows.Select((stream, i) => EchoAsync(stream, Encoding.ASCII.GetBytes($"flow {i} of many"))));
        foreach (var stream in flows) await stream.DisposeAsync();
    }

    [Fact]
    public async Task A_refused_flow_learns_it_at_once()
    {
        await using var site = await TunnelSite.StartAsync();
        site.ServeEcho();
        var client = await site.AddClientAsync();
        await EchoTcpAsync(client, TunnelSite.Resource);

        Assert.Equal(SocketError.ConnectionReset, await ErrorOfConnectionAsync(client, TunnelSite.RefusedPort));
        await using (var stream = await client.ConnectAsync(TunnelSite.Resource6, TunnelSite.AnsweredPort))
        {
            await stream.WriteAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray(), Cancellation);
            Assert.Equal("HTTP/1.1 403 Forbidden\r\n\r\nnot today\n", await new StreamReader(stream).ReadToEndAsync(Cancellation));
        }

        // ICMP 3/13 and ICMPv6 1/1, as Linux tells programs of them.
        Assert.Equal(SocketError.HostUnreachable, await UdpErrorAsync(client, TunnelSite.Resource, TunnelSite.RefusedPort));
        Assert.Equal(SocketError.AccessDenied, await UdpErrorAsync(client, TunnelSite.Resource6, TunnelSite.RefusedPort));
        // Nobody's address.
        Assert.Equal(SocketError.HostUnreachable, await UdpErrorAsync(client, "192.0.2.1", TunnelSite.EchoPort));
        await site.Host.WaitForMessageAsync("flow refused");
        // The decision about a flow is its own: the others are asked about as before.
        await EchoUdpAsync(client, TunnelSite.Resource, 10);
    }

    [Fact]
    public async Task A_removed_device_loses_its_flows_and_a_revoked_flow_ends()
    {
        await using var site = await TunnelSite.StartAsync();
        site.ServeEcho();
        var (first, second) = (await site.AddClientAsync(), await site.AddClientAsync());
        await using var one = await first.ConnectAsync(TunnelSite.Resource, TunnelSite.EchoPort);
        await using var other = await second.ConnectAsync(TunnelSite.Resource6, TunnelSite.EchoPort);
        await EchoAsync(one, "one"u8.ToArray());
        await EchoAsync(other, "other"u8.ToArray());
        await EchoUdpAsync(first, TunnelSite.Resource, 10);

        await site.TellAsync($"remove {first.Id}");
        Assert.Equal(SocketError.ConnectionReset, await ErrorOfAsync(() => one.ReadAsync(new byte[10], Cancellation).AsTask()));
        await site.Host.WaitForLineAsync($"ended Tcp {TunnelSite.Resource}:7 Revoked");
        await site.Host.WaitForLineAsync($"ended Udp {TunnelSite.Resource}:7 Revoked");
        // The other device is not touched.
        await EchoAsync(other, "still"u8.ToArray());

        await site.TellAsync("revoke");
        Assert.Equal(SocketError.ConnectionReset, await ErrorOfAsync(() => other.ReadAsync(new byte[10], Cancellation).AsTask()));
        await site.Host.WaitForLineAsync($"ended Tcp [{TunnelSite.Resource6}]:7 Revoked");
        // A new flow is decided about anew.
        await EchoTcpAsync(second, TunnelSite.Resource6);

        // A device that comes back, with the same key, is there again.
        await site.TellAsync($"device {first.Id} {first.PublicKey} {first.Address},{first.Address6}");
        await EchoTcpAsync(first, TunnelSite.Resource);
        // A complete list without it removes it, too.
        await site.TellAsync($"only {second.Id} {second.PublicKey} {second.Address},{second.Address6}");
        await EchoTcpAsync(second, TunnelSite.Resource);
        using var gone = await first.DialAsync(TunnelSite.Resource, TunnelSite.EchoPort);
        await gone.SendAsync("x"u8.ToArray());
        await EchoUdpAsync(second, TunnelSite.Resource, 10);
        Assert.Equal(0, gone.Available);
    }

    [Fact]
    public async Task A_preshared_key_is_mixed_in()
    {
        await using var site = await TunnelSite.StartAsync();
        site.ServeEcho();
        var client = await site.AddClientAsync();
        // Before the first handshake: without it at either end, none would be completed.
        await client.UsePresharedKeyAsync(site, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)));
        await EchoTcpAsync(client, TunnelSite.Resource);
        await EchoUdpAsync(client, TunnelSite.Resource6, 10);
    }

    [Fact]
    public async Task Devices_do_not_reach_each_other_nor_the_gateway_itself()
    {
        await using var site = await TunnelSite.StartAsync();
        site.ServeEcho();
        var (first, second) = (await site.AddClientAsync(), await site.AddClientAsync());
        await EchoTcpAsync(first, TunnelSite.Resource);
        await EchoTcpAsync(second, TunnelSite.Resource);
        using var listener = second.NewSocket(second.Address, SocketType.Dgram);
        listener.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Parse(second.Address), 4000));
        using var gateway = site.Network.CreateSocket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        gateway.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Any, 4000));
        using var across = await first.DialAsync(second.Address, 4000);
        using var atGateway = await first.DialAsync("100.124.100.100", 4000);
        await across.SendAsync("hello"u8.ToArray());
        await atGateway.SendAsync("hello"u8.ToArray());
        // A program on the gateway's machine does not reach a device either.
        await Assert.ThrowsAsync<SocketException>(() => gateway.SendToAsync("hello"u8.ToArray(), new System.Net.IPEndPoint(System.Net.IPAddress.Parse(second.Address), 4000)));
        // What was sent later on the same ways has arrived.
        await EchoUdpAsync(first, TunnelSite.Resource, 10);
        await EchoUdpAsync(second, TunnelSite.Resource, 10);
        Assert.Equal((0, 0), (listener.Available, gateway.Available));
    }

    [Fact]
    public async Task An_idle_udp_flow_ends_and_too_many_flows_are_refused()
    {
        await using var site = await TunnelSite.StartAsync("idle=3000", "flows=2");
        site.ServeEcho();
        var client = await site.AddClientAsync();
        await EchoUdpAsync(client, TunnelSite.Resource, 10);
        await site.Host.WaitForLineAsync($"ended Udp {TunnelSite.Resource}:7 Idle up=10 down=10");

        await using var one = await client.ConnectAsync(TunnelSite.Resource, TunnelSite.EchoPort);
        await using var two = await client.ConnectAsync(TunnelSite.Resource, TunnelSite.EchoPort);
        await EchoAsync(one, "one"u8.ToArray());
        await EchoAsync(two, "two"u8.ToArray());
        Assert.Equal(SocketError.ConnectionReset, await ErrorOfConnectionAsync(client, TunnelSite.EchoPort));
        await site.Host.WaitForMessageAsync("too many flows");
    }

    private static async Task EchoTcpAsync(TunnelClient client, string address)
    {
        await using var stream = await client.ConnectAsync(address, TunnelSite.EchoPort);
        await EchoAsync(stream, "hello"u8.ToArray());
        stream.Socket.Shutdown(SocketShutdown.Send);
        Assert.Equal(0, await stream.ReadAsync(new byte[1], Cancellation));
    }

    private static async Task EchoAsync(NetworkStream stream, byte[] text)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        await stream.WriteAsync(text, limit.Token);
        var back = new byte[text.Length];
        await stream.ReadExactlyAsync(back, limit.Token);
        Assert.Equal(text, back);
    }

    private static async Task EchoUdpAsync(TunnelClient client, string address, int length)
    {
        using var socket = await client.DialAsync(address, TunnelSite.EchoPort);
        var datagram = RandomNumberGenerator.GetBytes(length);
        await socket.SendAsync(datagram);
        var back = new byte[65536];
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(40));
        Assert.Equal(datagram, back[..await socket.ReceiveAsync(back, limit.Token)]);
    }

    // Runs of one length with others between them; fewer than any queue on the way holds.
    private static async Task EchoBurstAsync(TunnelClient client, string address)
    {
        using var socket = await client.DialAsync(address, TunnelSite.EchoPort);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(60));
        var buffer = new byte[2000];
        // The first of a flow is decided about; those that come meanwhile are more than wait for that.
        await socket.SendAsync(new byte[1]);
        Assert.Equal(1, await socket.ReceiveAsync(buffer, limit.Token));
        var datagrams = Enumerable.Range(0, 40).Select(i => RandomNumberGenerator.GetBytes(i % 10 == 9 ? 300 + i : 900)).ToArray();
        foreach (var datagram in datagrams) await socket.SendAsync(datagram);
        foreach (var datagram in datagrams) Assert.Equal(datagram, buffer[..await socket.ReceiveAsync(buffer, limit.Token)]);
    }

    private static async Task<SocketError> UdpErrorAsync(TunnelClient client, string address, int port)
    {
        using var socket = await client.DialAsync(address, port);
        await socket.SendAsync("x"u8.ToArray());
        return await ErrorOfAsync(() => socket.ReceiveAsync(new byte[10], SocketFlags.None, Cancellation).AsTask());
    }

    // The kernel makes the connection before anybody decides: the reset may come just before it is known here that it was made.
    private static Task<SocketError> ErrorOfConnectionAsync(TunnelClient client, int port) => ErrorOfAsync(async () =>
    {
        await using var stream = await client.ConnectAsync(TunnelSite.Resource, port);
        await stream.ReadExactlyAsync(new byte[1], Cancellation);
    });

    private static async Task<SocketError> ErrorOfAsync(Func<Task> act)
    {
        var error = await Record.ExceptionAsync(() => act().WaitAsync(TimeSpan.FromSeconds(40), Cancellation));
        return error is SocketException e ? e.SocketErrorCode : error is IOException { InnerException: SocketException inner } ? inner.SocketErrorCode : throw new InvalidOperationException("no error of a socket", error);
    }

    /// <summary>Uploads are answered with their hash; a request for N bytes with them.</summary>
    private static void ServeBulk(TunnelSite site)
    {
        site.Serve(UploadPort, async stream => await stream.WriteAsync(await SHA256.HashDataAsync(stream)));
        site.Serve(DownloadPort, async stream =>
        {
            var seed = new byte[8];
            await stream.ReadExactlyAsync(seed);
            var random = new Random(BitConverter.ToInt32(seed));
            var buffer = new byte[1 << 16];
            for (var left = BitConverter.ToInt32(seed, 4); left > 0; left -= buffer.Length)
            {
                random.NextBytes(buffer);
                await stream.WriteAsync(buffer.AsMemory(0, Math.Min(left, buffer.Length)));
            }
        });
    }

    private static async Task UploadAsync(TunnelClient client, string address, int length)
    {
        await using var stream = await client.ConnectAsync(address, UploadPort);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var random = new Random(length);
        var buffer = new byte[1 << 16];
        for (var left = length; left > 0; left -= buffer.Length)
        {
            random.NextBytes(buffer);
            var piece = buffer.AsMemory(0, Math.Min(left, buffer.Length));
            hash.AppendData(piece.Span);
            await stream.WriteAsync(piece, Cancellation);
        }

        stream.Socket.Shutdown(SocketShutdown.Send);
        var answer = new byte[32];
        await stream.ReadExactlyAsync(answer, Cancellation);
        Assert.Equal(hash.GetHashAndReset(), answer);
    }

    private static async Task DownloadAsync(TunnelClient client, string address, int length)
    {
        await using var stream = await client.ConnectAsync(address, DownloadPort);
        const int Seed = 17;
        await stream.WriteAsync((byte[])[.. BitConverter.GetBytes(Seed), .. BitConverter.GetBytes(length)], Cancellation);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var random = new Random(Seed);
        var buffer = new byte[1 << 16];
        for (var left = length; left > 0; left -= buffer.Length)
        {
            random.NextBytes(buffer);
            hash.AppendData(buffer.AsSpan(0, Math.Min(left, buffer.Length)));
        }

        Assert.Equal(hash.GetHashAndReset(), await SHA256.HashDataAsync(stream, Cancellation));
    }
}
