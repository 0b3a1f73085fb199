using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>The timers of §6.4–6.6, by what is seen on the wire.</summary>
public sealed class TimerTests
{
    private const int Keepalive = 32;

    [Fact]
    public void What_was_received_is_answered_within_ten_seconds_by_an_empty_packet()
    {
        using var network = new SimNetwork(1);
        var (a, b) = network.Pair();
        a.Send(b, "x");
        network.Run(30);
        var start = network.Now;
        a.Send(b, "y");
        network.Run(30);
        var empty = Assert.Single(b.Sent, s => s.When > start && s.Bytes.Length == Keepalive);
        Assert.InRange((empty.When - start).TotalSeconds, 9, 10.1);
        // More before that is answered by one more after it.
        start = network.Now;
        a.Send(b, "z");
        network.Run(5);
        a.Send(b, "zz");
        network.Run(30);
        Assert.Equal(2, b.Sent.Count(s => s.When > start && s.Bytes.Length == Keepalive));
        // A keepalive asks for none: the line is quiet.
        Assert.DoesNotContain(a.Sent, s => s.Bytes.Length == Keepalive);
    }

    [Fact]
    public void An_answer_in_time_needs_no_keepalive()
    {
        using var network = new SimNetwork(2);
        var (a, b) = network.Pair();
        a.Send(b, "question");
        network.Run(9);
        b.Send(a, "answer");
        network.Run(5);
        Assert.DoesNotContain(b.Sent, static s => s.Bytes.Length == Keepalive);
        network.Run(6);
        Assert.Contains(a.Sent, static s => s.Bytes.Length == Keepalive);
    }

    [Fact]
    public void Fifteen_seconds_without_an_answer_lead_to_a_new_handshake()
    {
        using var network = new SimNetwork(3);
        var (a, b) = network.Pair();
        a.Send(b, "x");
        network.Run(20);
        network.Passes = static (_, _, _) => false;
        var start = network.Now;
        a.Send(b, "into the void");
        network.Run(100);
        var initiations = a.Sent.Where(s => s.When > start && WireGuardWire.TypeOf(s.Bytes) == WireGuardMessageType.HandshakeInitiation).ToArray();
        Assert.InRange((initiations[0].When - start).TotalSeconds, 15, 15.34);
    }

    [Fact]
    public void Initiations_are_repeated_every_five_seconds_for_ninety_and_then_given_up()
    {
        using var network = new SimNetwork(4);
        var (a, b) = network.Pair();
        network.Passes = static (_, _, _) => false;
        var start = network.Now;
        for (var i = 0; i < 40; i++)
            a.Send(b, $"{i}");
        network.Run(1000);
        Assert.All(a.Sent.Zip(a.Sent.Skip(1)), static s => Assert.InRange((s.Second.When - s.First.When).TotalSeconds, 5, 5.34));
        Assert.InRange(a.Sent.Count, 17, 18);
        Assert.InRange((a.Sent[^1].When - start).TotalSeconds, 80, 90);
        // Eight were too many at first, the others went with the handshake.
        Assert.Equal(40, a.Device.Drops[WireGuardDrop.Unsent]);
        Assert.Equal(0, a.Device.Sessions);
        // Each initiation is new.
        Assert.Equal(a.Sent.Count, a.Sent.Select(static s => Convert.ToHexString(s.Bytes)).Distinct().Count());
        network.Passes = static (_, _, _) => true;
        a.Send(b, "again");
        network.Run(1);
        Assert.Equal(["again"], b.Texts);
    }

    [Fact]
    public void Persistent_keepalives_make_and_keep_a_session_without_data()
    {
        using var network = new SimNetwork(5);
        SimNode a = network.Node(1), b = network.Node(2);
        b.Add(a, knowsWhere: false);
        var peer = a.Add(b, o => new() { PublicKey = o.PublicKey, Endpoint = o.Endpoint, AllowedIPs = o.AllowedIPs, PersistentKeepalive = TimeSpan.FromSeconds(25) });
        network.Run(0.1);
        Assert.Single(a.Sessions);
        var start = network.Now;
        network.Run(100);
        var empty = a.Sent.Where(s => s.When > start && s.Bytes.Length == Keepalive).Select(static s => s.When).ToArray();
        Assert.Equal(4, empty.Length);
        Assert.All(empty.Zip(empty.Skip(1)), static s => Assert.Equal(25, (s.Second - s.First).TotalSeconds, 0.1));
        network.Run(1000);
        Assert.InRange(a.Sessions.Count, 7, 9);
        peer.SetPersistentKeepalive(TimeSpan.Zero, network.Now);
        network.Run(200);
        start = network.Now;
        network.Run(1000);
        Assert.DoesNotContain(a.Sent, s => s.When > start);
    }

    [Fact]
    public void Persistent_keepalives_go_on_asking_while_nobody_answers()
    {
        using var network = new SimNetwork(6);
        SimNode a = network.Node(1), b = network.Node(2);
        b.Add(a, knowsWhere: false);
        a.Add(b, o => new() { PublicKey = o.PublicKey, Endpoint = o.Endpoint, AllowedIPs = o.AllowedIPs, PersistentKeepalive = TimeSpan.FromSeconds(25) });
        network.Passes = static (_, _, _) => false;
        network.Run(3600);
        network.Passes = static (_, _, _) => true;
        network.Run(31);
        Assert.Single(a.Sessions);
    }

    [Fact]
    public void A_hundred_thousand_peers_timers_fire_in_order_and_each_once()
    {
        using var device = new WireGuardDevice(Sim.Options(1, 1));
        const int Count = 100_000;
        var random = new Random(3);
        var seen = new Seen();
        var key = new byte[32];
        for (var i = 0; i < Count; i++)
        {
            // No point is computed before the first handshake: any bytes will do, and these peers are nowhere.
            BitConverter.TryWriteBytes(key, i + 1);
            var peer = device.AddPeer(new() { PublicKey = new WireGuardPublicKey(key) }, default)!;
            peer.Timers.KeysDerived(TimeSpan.FromSeconds(random.Next(0, 5000)));
            if (i % 3 == 0)
                peer.Timers.KeysDerived(TimeSpan.FromSeconds(random.Next(0, 5000)));
            if (i % 7 == 0)
                Assert.True(device.RemovePeer(peer));
        }

        var last = TimeSpan.Zero;
        while (device.NextDeadline is { } next)
        {
            Assert.True(next >= last);
            last = next;
            device.Advance(next, seen);
        }

        Assert.All(device.Peers, static p => Assert.Equal(PeerTimers.Never, p.Timers.Earliest));
        Assert.InRange(last.TotalSeconds, 5500, 5540);
    }

    private sealed class Seen : IWireGuardSink
    {
        public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram) => Assert.Fail("Nobody is anywhere.");

        public void Deliver(WireGuardPeer peer, Span<byte> packet) => Assert.Fail("Nothing was received.");

        public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => Assert.Fail("Nothing was received.");

        public void Established(WireGuardPeer peer) => Assert.Fail("Nothing was received.");
    }
}
