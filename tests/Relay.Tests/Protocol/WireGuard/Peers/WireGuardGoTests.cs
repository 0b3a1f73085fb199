using System.Net;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard.Peers;

/// <summary>Against the stock wireguard-go and wg, as Debian has them.</summary>
public sealed class WireGuardGoTests
{
    private const int Key = 1;

    private static readonly IPEndPoint s_here = IPEndPoint.Parse("127.0.0.1:0");
    private static readonly WireGuardEndpoint s_there = new(IPEndPoint.Parse($"127.0.0.1:{WireGuardGo.ListenPort}"));

    [Fact]
    public async Task We_initiate_and_both_families_pass_inside()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, s_here, Key);
        var peer = loop.Add(s_there);
        await go.SetPeerAsync(loop.Device);
        await loop.PingAsync(1);
        await loop.PingAsync(2, six: true);
        Assert.Equal(loop.Local.ToString(), await go.ShowAsync("endpoints"));
        Assert.NotEqual("0", await go.ShowAsync("latest-handshakes"));
        Assert.NotNull(peer.LastHandshake);
        // Both count the same bytes.
        await Eventually.TrueAsync(async () => await go.TransferAsync() == (peer.SentBytes, peer.ReceivedBytes), $"{peer.SentBytes}, {peer.ReceivedBytes} as wg counts");
        Assert.Equal(1, loop.Sessions);
    }

    [Fact]
    public async Task The_peer_initiates_and_its_packets_arrive()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, s_here, Key);
        var peer = loop.Add(default);
        await go.SetPeerAsync(loop.Device, "endpoint", loop.Local.ToString());
        await go.SendTextAsync("from the other side", WireGuardGo.Us);
        await ArrivesAsync(loop, "from the other side");
        await go.SendTextAsync("and by IPv6", WireGuardGo.Us6);
        await ArrivesAsync(loop, "and by IPv6");
        Assert.Equal(s_there, peer.Endpoint);
        await loop.PingAsync(1);
        Assert.DoesNotContain(WireGuardMessageType.HandshakeInitiation, loop.Sent);
    }

    [Fact]
    public async Task Outside_may_be_IPv6()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, IPEndPoint.Parse("[::1]:0"), Key);
        loop.Add(new WireGuardEndpoint(IPEndPoint.Parse($"[::1]:{WireGuardGo.ListenPort}")));
        await go.SetPeerAsync(loop.Device);
        await loop.PingAsync(1);
        await loop.PingAsync(2, six: true);
        Assert.Equal(loop.Local.ToString(), await go.ShowAsync("endpoints"));
    }

    [Fact]
    public async Task A_preshared_key_must_match()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, s_here, Key);
        var peer = loop.Add(s_there, Sim.PrivateKey(50));
        await go.SetPeerAsync(loop.Device);
        await go.SetPresharedKeyAsync(loop.Device, Sim.PrivateKey(51));
        loop.Send(Echo.Request(1, 1));
        await Eventually.TrueAsync(() => loop.Device.Drops[WireGuardDrop.NotAuthentic] == 1, "the response is refused");
        Assert.Equal(0, loop.Sessions);
        await go.SetPresharedKeyAsync(loop.Device, Sim.PrivateKey(50));
        loop.Skip(TimeSpan.FromSeconds(6));
        await loop.PingAsync(1);
        Assert.NotNull(peer.LastHandshake);
    }

    [Fact]
    public async Task We_rekey_after_two_minutes_and_the_peer_whenever_it_has_to()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, s_here, Key);
        loop.Add(s_there);
        await go.SetPeerAsync(loop.Device, "endpoint", loop.Local.ToString());
        await loop.PingAsync(1);
        // Its flood protection is by its own clock, which is not moved on: what comes too soon for it comes again after five seconds.
        for (var i = 2; i < 4; i++)
        {
            loop.Skip(TimeSpan.FromSeconds(121));
            await loop.PingAsync(i);
            await Eventually.TrueAsync(() => loop.Sessions == i, $"session {i}");
        }

        // The other side forgets all: it has to initiate, and we have a session still.
        await go.SetAsync("peer", loop.Device.PublicKey.ToString(), "remove");
        await go.SetPeerAsync(loop.Device, "endpoint", loop.Local.ToString());
        await go.SendTextAsync("after forgetting", WireGuardGo.Us);
        await ArrivesAsync(loop, "after forgetting");
        await loop.PingAsync(7);
        Assert.Contains(WireGuardMessageType.HandshakeResponse, loop.Sent);
    }

    [Fact]
    public async Task Both_sides_roam_to_another_address_and_port()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, s_here, Key);
        var peer = loop.Add(s_there);
        await go.SetPeerAsync(loop.Device);
        await loop.PingAsync(1);
        await loop.MoveAsync(IPEndPoint.Parse("127.0.0.77:4077"));
        await loop.PingAsync(2);
        Assert.Equal("127.0.0.77:4077", await go.ShowAsync("endpoints"));
        await go.SetAsync("listen-port", "4088");
        await go.SendTextAsync("from 4088", WireGuardGo.Us);
        await ArrivesAsync(loop, "from 4088");
        Assert.Equal(4088, peer.Endpoint.Port);
        await loop.PingAsync(3);
        Assert.Equal(1, loop.Sessions);
    }

    [Fact]
    public async Task Reordered_and_replayed_packets_are_taken_once()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, s_here, Key);
        loop.Add(s_there);
        await go.SetPeerAsync(loop.Device);
        await loop.PingAsync(1);
        var held = new List<byte[]>();
        loop.Intercepts = datagram =>
        {
            lock (held)
                held.Add(datagram);
            return true;
        };
        for (var i = 0; i < 50; i++)
            loop.Send(Echo.Request(2, i));
        loop.Intercepts = static _ => false;
        // Backwards, each twice.
        for (var i = held.Count - 1; i >= 0; i--)
        {
            loop.SendRaw(held[i], s_there.ToIPEndPoint()!);
            loop.SendRaw(held[i], s_there.ToIPEndPoint()!);
        }

        await loop.PingAsync(3); // behind all of them
        await Eventually.TrueAsync(() => Replies(loop, 2).Length >= 50, () => $"{Replies(loop, 2).Length} replies");
        Assert.Equal(Enumerable.Range(0, 50).Reverse(), Replies(loop, 2));
    }

    [Fact]
    public async Task Persistent_keepalives_of_both_sides_are_understood()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, s_here, Key);
        var peer = loop.Add(default);
        await go.SetPeerAsync(loop.Device, "endpoint", loop.Local.ToString(), "persistent-keepalive", "1");
        await Eventually.TrueAsync(() => peer.LastHandshake is not null, "a session without data");
        var received = peer.ReceivedBytes;
        await Eventually.TrueAsync(() => peer.ReceivedBytes >= received + 64, "its keepalives");
        await go.SetAsync("peer", loop.Device.PublicKey.ToString(), "persistent-keepalive", "0");
        peer.SetPersistentKeepalive(TimeSpan.FromSeconds(1), loop.Now);
        var before = await go.TransferAsync();
        await Eventually.TrueAsync(async () => (await go.TransferAsync()).Received >= before.Received + 64, "our keepalives");
        Assert.Empty(loop.Delivered);
    }

    [Fact]
    public async Task Under_load_the_peer_answers_our_cookie()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, s_here, Key, loadThreshold: 0);
        loop.Add(default);
        await go.SetPeerAsync(loop.Device, "endpoint", loop.Local.ToString());
        await go.SendTextAsync("under load", WireGuardGo.Us);
        await ArrivesAsync(loop, "under load");
        Assert.Equal(WireGuardMessageType.CookieReply, loop.Sent.First());
        Assert.Equal(1, loop.Device.Drops[WireGuardDrop.NoCookie]);
    }

    [Fact]
    public async Task When_the_peer_is_under_load_we_answer_its_cookie()
    {
        await using var go = await StartAsync();
        await using var loop = WireGuardLoop.Start(go.Network, s_here, Key);
        await using var flood = WireGuardLoop.Start(go.Network, s_here, Key + 1);
        loop.Add(s_there);
        await go.SetPeerAsync(loop.Device);
        // Messages that only its public key is needed for, until it says that it is under load.
        using var stop = new CancellationTokenSource();
        var flooding = FloodAsync(flood, stop.Token);
        await Eventually.TrueAsync(() => flood.Received.Contains(WireGuardMessageType.CookieReply), "it is under load");
        await Eventually.TrueAsync(
            () =>
            {
                // Each look is an attempt of its own: five seconds on.
                loop.Skip(TimeSpan.FromSeconds(6));
                loop.Send(Echo.Request(1, 1));
                return loop.Received.Contains(WireGuardMessageType.CookieReply);
            },
            "our initiation is answered with a cookie");
        await loop.PingAsync(2);
        await stop.CancelAsync();
        await flooding;
        Assert.True(loop.Sessions >= 1);
    }

    private static async Task<WireGuardGo> StartAsync()
    {
        Assert.SkipUnless(WireGuardGo.IsAvailable, "Needs root, /dev/net/tun, wireguard-go and wg.");
        return await WireGuardGo.StartAsync();
    }

    private static Task ArrivesAsync(WireGuardLoop loop, string text) =>
        Eventually.TrueAsync(() => loop.Delivered.Any(p => Inner.Text(p).EndsWith(text, StringComparison.Ordinal)), $"'{text}' arrives");

    private static int[] Replies(WireGuardLoop loop, int identifier) => [.. loop.Delivered.Select(p => Echo.SequenceOf(p, identifier)).Where(static s => s >= 0)];

    private static async Task FloodAsync(WireGuardLoop from, CancellationToken stop)
    {
        var message = new byte[WireGuardWire.InitiationLength];
        var jar = new CookieJar();
        var key = WireGuardGo.PublicKey;
        while (!stop.IsCancellationRequested)
        {
            for (var i = 0; i < 400; i++)
            {
                Random.Shared.NextBytes(message);
                WireGuardWire.WriteType(message, WireGuardMessageType.HandshakeInitiation);
                jar.WriteMacs(key, message, default);
                from.SendRaw(message, s_there.ToIPEndPoint()!);
            }

            await Task.Yield();
        }
    }
}
