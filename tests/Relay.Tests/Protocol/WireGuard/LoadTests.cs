using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Cookies and rates, §5.3.</summary>
public sealed class LoadTests
{
    [Fact]
    public void Under_load_a_handshake_takes_one_more_round_to_prove_the_address()
    {
        using var network = new SimNetwork(1);
        SimNode a = network.Node(1), b = network.Node(2, loadThreshold: 0);
        a.Add(b);
        b.Add(a, knowsWhere: false);
        a.Send(b, "x");
        network.Run(1);
        Assert.Equal(1, b.CountSent(WireGuardMessageType.CookieReply));
        Assert.Equal(0, b.CountSent(WireGuardMessageType.HandshakeResponse));
        Assert.Equal(1, b.Device.Drops[WireGuardDrop.NoCookie]);
        // §6.6: the reply itself sends nothing; the timer does.
        Assert.Equal(1, a.CountSent(WireGuardMessageType.HandshakeInitiation));
        network.Run(5);
        Assert.Equal(["x"], b.Texts);
        Assert.Equal(2, a.CountSent(WireGuardMessageType.HandshakeInitiation));
        Assert.Equal(1, b.CountSent(WireGuardMessageType.HandshakeResponse));
    }

    [Fact]
    public void A_response_is_asked_for_a_cookie_too()
    {
        using var network = new SimNetwork(2);
        SimNode a = network.Node(1, loadThreshold: 0), b = network.Node(2);
        a.Add(b);
        b.Add(a, knowsWhere: false);
        a.Send(b, "x");
        network.Run(1);
        Assert.Equal(1, a.CountSent(WireGuardMessageType.CookieReply));
        network.Run(6);
        Assert.Equal(["x"], b.Texts);
    }

    [Fact]
    public void A_cookie_of_another_address_is_not_enough()
    {
        using var network = new SimNetwork(3);
        SimNode a = network.Node(1), b = network.Node(2, loadThreshold: 0);
        a.Add(b);
        b.Add(a, knowsWhere: false);
        a.Send(b, "x");
        network.Run(1);
        a.At = SimNetwork.Address(1, 4444);
        network.Run(5);
        Assert.Equal(2, b.CountSent(WireGuardMessageType.CookieReply));
        Assert.Empty(b.Delivered);
        network.Run(5);
        Assert.Equal(["x"], b.Texts);
    }

    [Fact]
    public void Load_begins_beyond_the_threshold_and_ends_after_a_second()
    {
        var load = new HandshakeLoad(3);
        var now = TimeSpan.FromSeconds(100);
        for (var i = 0; i < 3; i++)
            Assert.False(load.Count(now));
        Assert.True(load.Count(now));
        Assert.True(load.Count(now + TimeSpan.FromSeconds(0.99)));
        Assert.False(load.Count(now + TimeSpan.FromSeconds(2.5)));
        load.Declare(now + TimeSpan.FromSeconds(10));
        Assert.True(load.Count(now + TimeSpan.FromSeconds(10.9)));
        Assert.False(load.Count(now + TimeSpan.FromSeconds(11.1)));
    }

    [Fact]
    public void A_source_gets_five_at_once_and_twenty_per_second_whatever_others_do()
    {
        var limiter = new HandshakeRateLimiter(new Random(1).NextBytes);
        var source = new WireGuardEndpoint([192, 0, 2, 1], 1);
        var now = TimeSpan.FromSeconds(5);
        for (var i = 0; i < 5; i++)
            Assert.True(limiter.TryTake(source, now));
        Assert.False(limiter.TryTake(source, now));
        Assert.False(limiter.TryTake(new WireGuardEndpoint([192, 0, 2, 1], 2), now)); // a port is no other source
        Assert.True(limiter.TryTake(new WireGuardEndpoint([192, 0, 2, 2], 1), now));
        Assert.True(limiter.TryTake(source, now + TimeSpan.FromMilliseconds(50)));
        Assert.False(limiter.TryTake(source, now + TimeSpan.FromMilliseconds(99)));

        // All of an IPv6 /64 is one source.
        byte[] six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        var taken = 0;
        for (var i = 0; i < 100; i++)
        {
            six[15] = (byte)i;
            taken += limiter.TryTake(new WireGuardEndpoint(six, 1), now) ? 1 : 0;
        }

        Assert.Equal(5, taken);
    }

    [Fact]
    public void A_million_sources_take_no_more_memory_than_the_table()
    {
        var limiter = new HandshakeRateLimiter(new Random(1).NextBytes);
        var address = new byte[4];
        limiter.TryTake(new WireGuardEndpoint([1, 1, 1, 1], 1), default);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1_000_000; i++)
        {
            BitConverter.TryWriteBytes(address, i);
            limiter.TryTake(new WireGuardEndpoint(address, 1), TimeSpan.FromTicks(i));
        }

        // Not a byte for each; a collection meanwhile takes something of this thread's share of the heap, which counts as allocated.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64 * 1024);
    }

    [Fact]
    public void A_flood_of_initiations_with_a_right_mac1_allocates_no_state()
    {
        using var network = new SimNetwork(4);
        SimNode a = network.Node(1), b = network.Node(2, loadThreshold: 10);
        a.Add(b);
        b.Add(a, knowsWhere: false);
        var forged = new byte[148];
        var jar = new CookieJar();
        var key = b.Device.PublicKey;
        for (var i = 0; i < 2000; i++)
        {
            new Random(i).NextBytes(forged);
            WireGuardWire.WriteType(forged, WireGuardMessageType.HandshakeInitiation);
            jar.WriteMacs(key, forged, network.Now);
            b.Device.ReceiveBatch(forged, 0, new WireGuardEndpoint([10, 1, (byte)(i >> 8), (byte)i], 9), network.Now, b);
        }

        Assert.Equal(10, b.Device.Drops[WireGuardDrop.NotAuthentic]);
        Assert.Equal(1990, b.Device.Drops[WireGuardDrop.NoCookie]);
        Assert.Equal(0, b.Device.Sessions);
        // Who can be reached gets through all the same.
        a.Send(b, "x");
        network.Run(7);
        Assert.Equal(["x"], b.Texts);
    }
}
