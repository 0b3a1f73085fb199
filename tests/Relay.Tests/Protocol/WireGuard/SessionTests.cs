using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Two devices against each other on a network that behaves: sessions come, change and end as §6 says.</summary>
public sealed class SessionTests
{
    [Fact]
    public void First_packet_makes_the_session_and_arrives_in_both_families()
    {
        using var network = new SimNetwork(1);
        var (a, b) = network.Pair(bothKnow: false);
        Assert.Equal(WireGuardSent.Staged, a.Send(b, "one"));
        Assert.Equal(WireGuardSent.Staged, a.Send(b, "two", six: true));
        network.Run(1);
        Assert.Equal(["one", "two"], b.Texts);
        Assert.Equal(WireGuardSent.Sent, b.Send(a, "three"));
        network.Run(1);
        Assert.Equal(["three"], a.Texts);
        Assert.Single(a.Sessions);
        Assert.Single(b.Sessions);
        Assert.Equal(1, a.CountSent(WireGuardMessageType.HandshakeInitiation));
        Assert.Equal(1, b.CountSent(WireGuardMessageType.HandshakeResponse));
        Assert.Equal(b.Device.FindPeer(a.Device.PublicKey)!.ReceivedBytes, a.Device.FindPeer(b.Device.PublicKey)!.SentBytes);
        Assert.Equal(148 + (32 + 32) + (32 + 48), a.Device.FindPeer(b.Device.PublicKey)!.SentBytes);
    }

    [Fact]
    public void Handshakes_and_bytes_are_counted_and_a_peer_that_goes_takes_nothing_away()
    {
        using var network = new SimNetwork(31);
        var (a, b) = network.Pair();
        a.Send(b, "one");
        network.Run(1);
        b.Send(a, "two");
        network.Run(1);
        Assert.Equal((1, 1), (a.Device.Handshakes, b.Device.Handshakes));
        var peer = a.Device.Peers.Single();
        var bytes = a.Device.Bytes;
        Assert.Equal((peer.ReceivedBytes, peer.SentBytes), bytes);
        Assert.Equal((bytes.Sent, bytes.Received), b.Device.Bytes);
        Assert.True(a.Device.RemovePeer(peer));
        Assert.Equal(bytes, a.Device.Bytes);
        a.Add(b);
        a.Send(b, "three");
        network.Run(10);
        Assert.Equal(2, a.Device.Handshakes);
        Assert.True(a.Device.Bytes.Sent > bytes.Sent);
    }

    [Fact]
    public void Initiations_that_cross_both_lead_to_a_session_at_once()
    {
        using var network = new SimNetwork(2);
        var (a, b) = network.Pair();
        a.Send(b, "from a");
        b.Send(a, "from b");
        network.Run(0.1);
        Assert.Equal(["from b"], a.Texts);
        Assert.Equal(["from a"], b.Texts);
        for (var i = 0; i < 10; i++)
        {
            a.Send(b, $"a{i}");
            b.Send(a, $"b{i}");
            network.Run(30);
        }

        Assert.Equal(11, a.Delivered.Count);
        Assert.Equal(11, b.Delivered.Count);
    }

    [Fact]
    public void Responder_sends_only_once_the_initiator_has_proven_its_key()
    {
        using var network = new SimNetwork(3);
        var (a, b) = network.Pair();
        // The response is lost, and so is everything later.
        network.Passes = (_, _, bytes) => WireGuardWire.TypeOf(bytes) == WireGuardMessageType.HandshakeInitiation && bytes.Length > 0 && network.Now < TimeSpan.FromSeconds(1001);
        a.Send(b, "x");
        network.Run(0.5);
        Assert.Equal(1, b.CountSent(WireGuardMessageType.HandshakeResponse));
        Assert.Equal(WireGuardSent.Staged, b.Send(a, "y"));
        Assert.Empty(b.Sessions);
    }

    [Fact]
    public void Initiator_rekeys_after_two_minutes_and_nothing_is_lost()
    {
        using var network = new SimNetwork(4);
        var (a, b) = network.Pair(bothKnow: false);
        for (var i = 0; i < 1000; i++)
        {
            a.Send(b, $"{i}");
            b.Send(a, $"{i}");
            network.Run(1);
        }

        // 1000 s at one session each 120 s; the very first packet of b came before it knew where a is.
        Assert.Equal(1000, b.Delivered.Count);
        Assert.Equal(999, a.Delivered.Count);
        Assert.Equal(9, a.Sessions.Count);
        Assert.Equal(0, b.CountSent(WireGuardMessageType.HandshakeInitiation));
        Assert.All(a.Sessions.Zip(a.Sessions.Skip(1)), static s => Assert.InRange((s.Second - s.First).TotalSeconds, 119, 122));
        Assert.True(a.Device.Sessions <= 3);
    }

    [Fact]
    public void A_session_asks_for_the_next_when_it_receives_shortly_before_its_end()
    {
        using var network = new SimNetwork(5);
        var (a, b) = network.Pair(bothKnow: false);
        a.Send(b, "only");
        network.Run(164);
        // The initiator only receives. Its keepalives count as sending: they must not reach b, nor renew anything.
        network.Passes = (from, _, bytes) => from != a.At || WireGuardWire.TypeOf(bytes) != WireGuardMessageType.TransportData;
        var initiations = a.CountSent(WireGuardMessageType.HandshakeInitiation);
        Assert.Equal(1, initiations);
        b.Send(a, "early");
        network.Run(2);
        Assert.Equal(1, a.CountSent(WireGuardMessageType.HandshakeInitiation));
        b.Send(a, "late");
        network.Run(1);
        Assert.Equal(2, a.CountSent(WireGuardMessageType.HandshakeInitiation));
        Assert.Equal(["early", "late"], a.Texts);
    }

    [Fact]
    public void Nothing_is_sent_or_accepted_after_three_minutes()
    {
        using var network = new SimNetwork(6);
        var (a, b) = network.Pair(bothKnow: false);
        a.Send(b, "first");
        network.Run(1);
        byte[]? late = null;
        network.Passes = (from, _, bytes) =>
        {
            if (from == b.At)
                late = bytes;
            return false;
        };
        network.Run(177);
        Assert.Equal(WireGuardSent.Sent, b.Send(a, "late"));
        network.Run(3);
        Assert.NotNull(late);
        network.Passes = static (_, _, _) => true;
        a.Device.ReceiveBatch(late.ToArray(), 0, b.At, network.Now, a);
        Assert.Empty(a.Delivered);
        Assert.Equal(1, a.Device.Drops[WireGuardDrop.Expired]);
        Assert.Equal(WireGuardSent.Staged, b.Send(a, "again"));
        network.Run(1);
        Assert.Equal(["again"], a.Texts);
        Assert.Equal(1, b.CountSent(WireGuardMessageType.HandshakeInitiation));
    }

    [Fact]
    public void Messages_count_towards_the_next_session_and_the_end_of_this_one()
    {
        using var network = new SimNetwork(7);
        var (a, b) = network.Pair(bothKnow: false);
        a.Send(b, "first");
        network.Run(6);
        // The responder rekeys by messages, too.
        var keypair = b.Device.FindPeer(a.Device.PublicKey)!.Keypairs.Current!;
        keypair.NextCounter = WireGuardSpec.RekeyAfterMessages - 1;
        b.Send(a, "last before");
        network.Run(1);
        Assert.Equal(1, b.CountSent(WireGuardMessageType.HandshakeInitiation));
        Assert.NotEqual(keypair, b.Device.FindPeer(a.Device.PublicKey)!.Keypairs.Current);

        network.Passes = static (_, _, _) => false;
        keypair = a.Device.FindPeer(b.Device.PublicKey)!.Keypairs.Current!;
        keypair.NextCounter = WireGuardSpec.RejectAfterMessages - 1;
        Assert.Equal(WireGuardSent.Sent, a.Send(b, "the very last"));
        Assert.Equal(WireGuardSent.Staged, a.Send(b, "none left"));
        for (var i = 0; i < 10_000; i++)
            Assert.False(keypair.TryTakeCounter(out _));
        Assert.Equal(WireGuardSpec.RejectAfterMessages, keypair.NextCounter);
    }

    [Fact]
    public void Keys_are_wiped_nine_minutes_after_the_last_handshake()
    {
        using var network = new SimNetwork(8);
        var (a, b) = network.Pair();
        a.Send(b, "x");
        network.Run(1);
        Assert.Equal(1, a.Device.Sessions);
        network.Run(536);
        Assert.Equal(1, b.Device.Sessions);
        network.Run(4);
        Assert.Equal(0, a.Device.Sessions);
        Assert.Equal(0, b.Device.Sessions);
        Assert.Null(a.Device.NextDeadline);
    }

    [Fact]
    public void A_preshared_key_has_to_be_the_same_and_can_be_changed_live()
    {
        using var network = new SimNetwork(9);
        SimNode a = network.Node(1), b = network.Node(2);
        var toB = a.Add(b, o => new() { PublicKey = o.PublicKey, Endpoint = o.Endpoint, AllowedIPs = o.AllowedIPs, PresharedKey = Sim.PrivateKey(77) });
        var toA = b.Add(a);
        a.Send(b, "under two keys");
        network.Run(12);
        Assert.Empty(b.Delivered);
        Assert.Equal(3, a.Device.Drops[WireGuardDrop.NotAuthentic]);
        b.Device.SetPresharedKey(toA, Sim.PrivateKey(77));
        network.Run(6);
        Assert.Equal(["under two keys"], b.Texts);
        Assert.Throws<ArgumentException>(() => a.Device.SetPresharedKey(toB, new byte[31]));
    }

    [Fact]
    public void A_removed_peer_is_gone_at_once_and_can_be_added_again()
    {
        using var network = new SimNetwork(10);
        var (a, b) = network.Pair();
        a.Send(b, "before");
        network.Run(1);
        var peer = b.Device.FindPeer(a.Device.PublicKey)!;
        a.Send(b, "underway");
        Assert.True(b.Device.RemovePeer(peer));
        Assert.False(b.Device.RemovePeer(peer));
        network.Run(20);
        Assert.Equal(["before"], b.Texts);
        Assert.Equal(0, b.Device.Sessions);
        Assert.Empty(b.Device.Peers);
        Assert.Null(b.Device.NextDeadline);
        Assert.False(b.Device.BeginSend(peer, network.Now, b).IsOpen);
        Assert.False(b.Device.TryStage(peer, new byte[20]));
        Assert.True(b.Device.Drops[WireGuardDrop.UnknownPeer] > 0);
        b.Add(a);
        network.Run(60);
        Assert.Equal(WireGuardSent.Sent, a.Send(b, "after"));
        network.Run(1);
        Assert.Equal(["before", "after"], b.Texts);
    }

    [Fact]
    public void Nothing_waits_for_a_peer_that_is_nowhere()
    {
        using var network = new SimNetwork(12);
        var (a, b) = network.Pair(bothKnow: false);
        Assert.Equal(WireGuardSent.NoEndpoint, b.Send(a, "stale"));
        Assert.False(b.Device.TryStage(b.Device.FindPeer(a.Device.PublicKey)!, new byte[20]));
        a.Send(b, "x");
        network.Run(1);
        Assert.Empty(a.Delivered);
        Assert.Equal(WireGuardSent.Sent, b.Send(a, "fresh"));
        Assert.Equal(WireGuardSent.NoPeer, b.Device.Send(Inner.IPv4("10.0.0.2", "10.0.0.77", []), network.Now, b));
    }

    [Fact]
    public void Peers_own_keys_and_doubles_are_refused()
    {
        using var device = new WireGuardDevice(Sim.Options(1, 1));
        Assert.Null(device.AddPeer(new() { PublicKey = device.PublicKey }, default));
        Assert.Null(device.AddPeer(new() { PublicKey = default }, default));
        Assert.NotNull(device.AddPeer(new() { PublicKey = Sim.PublicKey(2) }, default));
        Assert.Null(device.AddPeer(new() { PublicKey = Sim.PublicKey(2) }, default));
        Assert.Throws<ArgumentException>(() => device.AddPeer(new() { PublicKey = Sim.PublicKey(3), PresharedKey = new byte[5] }, default));
        Assert.Throws<ArgumentException>(() => device.AddPeer(new() { PublicKey = Sim.PublicKey(3), PersistentKeepalive = TimeSpan.FromDays(1) }, default));
        Assert.Throws<ArgumentException>(() => new WireGuardDevice(new() { PrivateKey = new byte[31], Epoch = Sim.Epoch }));
    }

    [Fact]
    public void A_source_address_that_is_not_the_peers_is_dropped()
    {
        using var network = new SimNetwork(11);
        var (a, b) = network.Pair();
        a.Send(b, "mine");
        network.Run(1);
        var foreign = Inner.IPv4("10.0.0.3", "10.0.0.2", "theirs"u8);
        Assert.Equal(WireGuardSent.Sent, a.Device.Send(foreign, network.Now, a));
        var none = new byte[32];
        none[0] = 0x50;
        using (var batch = a.Device.BeginSend(a.Device.FindPeer(b.Device.PublicKey)!, network.Now, a))
        {
            var datagram = new byte[64];
            none.CopyTo(datagram, 16);
            network.Send(a.At, b.At, datagram.AsSpan(0, batch.Seal(datagram, 32)));
        }

        network.Run(1);
        Assert.Equal(["mine"], b.Texts);
        Assert.Equal(1, b.Device.Drops[WireGuardDrop.NotAllowed]);
        Assert.Equal(1, b.Device.Drops[WireGuardDrop.NotAPacket]);
    }
}
