using System.Buffers.Binary;
using System.Net;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Several devices with one private key, of which one is gone: a peer's packets of its session reach another one.</summary>
public sealed class InvitationTests
{
    private const ushort Tag = 7;

    [Fact]
    public void A_peer_whose_device_is_gone_has_a_session_with_another_one_at_once()
    {
        using var network = new SimNetwork(1);
        var (a, b, next) = Start(network, Tag);
        a.Send(b, "lost");
        network.Run(1);
        Assert.Equal((1, 1), (next.Device.Invitations, next.Device.Handshakes));
        Assert.Equal((WireGuardMessageType.HandshakeInitiation, 148), (WireGuardWire.TypeOf(next.Sent[0].Bytes), next.Sent[0].Bytes.Length));
        // Its own timers had nothing to do with it.
        Assert.Equal(1, a.CountSent(WireGuardMessageType.HandshakeInitiation));
        a.Send(b, "here");
        network.Run(1);
        Assert.Equal(["here"], next.Texts);
        next.Send(a, "there");
        network.Run(1);
        Assert.Equal(["there"], a.Texts);
        Assert.Equal(a.At, next.Device.FindPeer(a.Device.PublicKey)!.Endpoint);
        // Nothing is left of it but the session.
        Assert.Equal(1, next.Device.Sessions);
        Assert.Equal(1, next.Device.Invitations);
    }

    [Fact]
    public void Without_a_tag_the_peer_s_own_timers_decide()
    {
        using var network = new SimNetwork(2);
        var (a, b, next) = Start(network, tag: 0);
        a.Send(b, "lost");
        network.Run(14.9);
        Assert.Equal((0, 0), (next.Sent.Count, next.Device.Handshakes));
        network.Run(1);
        Assert.Equal((0, 1), (next.Device.Invitations, next.Device.Handshakes));
        Assert.Equal(2, a.CountSent(WireGuardMessageType.HandshakeInitiation));
    }

    [Fact]
    public void An_invitation_that_is_lost_is_repeated_with_a_later_packet_and_not_by_itself()
    {
        using var network = new SimNetwork(3);
        var (a, b, next) = Start(network, Tag);
        network.Passes = (from, _, _) => from != next.At;
        a.Send(b, "one");
        network.Run(4);
        a.Send(b, "two");
        network.Run(0.9);
        Assert.Single(next.Sent);
        a.Send(b, "three");
        network.Run(1);
        Assert.Single(next.Sent);
        network.Passes = static (_, _, _) => true;
        a.Send(b, "four");
        network.Run(1);
        Assert.Equal((2, 1), (next.Device.Invitations, next.Device.Handshakes));
        Assert.Equal(1, a.CountSent(WireGuardMessageType.HandshakeInitiation));
    }

    [Fact]
    public void Forged_packets_bring_about_one_initiation_in_five_seconds_move_nobody_and_end_nothing()
    {
        using var network = new SimNetwork(4);
        var (a, b, next) = Start(network, Tag);
        a.Send(b, "lost");
        var seen = a.Sent[^1].Bytes;
        network.Run(1);
        a.Send(b, "here");
        network.Run(10);
        var (sent, invited) = (next.Sent.Count, next.Device.Invitations);
        // The old session's packet, from everywhere, for 60 seconds; a peer that is well is invited, too: nobody can know that it is.
        for (var i = 0; i < 6000; i++)
        {
            next.Device.ReceiveBatch(seen.ToArray(), 0, SimNetwork.Address((byte)(100 + (i % 100)), (ushort)(1 + i)), network.Now, next);
            network.Run(0.01);
        }

        Assert.InRange(next.Device.Invitations - invited, 10, 12);
        Assert.Equal(next.Device.Invitations - invited, next.Sent.Skip(sent).Count(s => WireGuardWire.TypeOf(s.Bytes) == WireGuardMessageType.HandshakeInitiation));
        Assert.Equal(a.At, next.Device.FindPeer(a.Device.PublicKey)!.Endpoint);
        // The session and one initiation.
        Assert.Equal(2, next.Device.Sessions);
        a.Send(b, "as before");
        next.Send(a, "as ever");
        network.Run(1);
        Assert.Equal(["here", "as before"], next.Texts);
        Assert.Equal(["as ever"], a.Texts);
        Assert.Equal(1, next.Device.Handshakes);
        // In the end nothing is left of what was not answered.
        network.Run(700);
        Assert.Equal(0, next.Device.Sessions);
    }

    [Fact]
    public void Packets_that_name_nobody_are_never_answered_and_no_more_than_so_many_in_a_second_are_looked_at()
    {
        using var network = new SimNetwork(5);
        var (a, b, next) = Start(network, Tag);
        a.Send(b, "lost");
        var seen = a.Sent[^1].Bytes;
        network.Passes = static (_, _, _) => false;
        using (var tags = new TaggedIndices(Sim.PrivateKey(2)))
        {
            // Of one peer that there is, and 65535 that there are not.
            for (var i = 0; i < 2 * WireGuardLimits.InvitationsPerSecond; i++)
            {
                var junk = new byte[32 + (i % 1000)];
                junk[0] = 4;
                BinaryPrimitives.WriteUInt32LittleEndian(junk.AsSpan(4), tags.Seal((ushort)(i % Tag), (ushort)i));
                next.Device.ReceiveBatch(junk, 0, SimNetwork.Address(200), network.Now, next);
            }
        }

        next.Device.ReceiveBatch(seen.ToArray(), 0, a.At, network.Now, next);
        Assert.Empty(next.Sent);
        network.Run(1);
        next.Device.ReceiveBatch(seen.ToArray(), 0, a.At, network.Now, next);
        Assert.Single(next.Sent);
        // Who is removed is nobody.
        network.Run(10);
        next.Device.RemovePeer(next.Device.FindPeer(a.Device.PublicKey)!);
        next.Device.ReceiveBatch(seen.ToArray(), 0, a.At, network.Now, next);
        Assert.Single(next.Sent);
        Assert.Equal(0, next.Device.Sessions);
    }

    [Fact]
    public void Only_the_private_key_tells_whose_an_index_is()
    {
        using TaggedIndices ours = new(Sim.PrivateKey(1)), same = new(Sim.PrivateKey(1)), others = new(Sim.PrivateKey(2));
        var indices = new HashSet<uint>();
        int halves = 0, guessed = 0;
        for (var salt = 0; salt < 0x10000; salt++)
        {
            var tag = (ushort)(salt % 3);
            var index = ours.Seal(tag, (ushort)salt);
            Assert.True(indices.Add(index));
            Assert.Equal(tag, same.Open(index));
            if (others.Open(index) == tag) guessed++;
            if ((index & 0xffff) < 0x8000) halves++;
        }

        // About one; half. Numbers that are always the same, so no chance is involved.
        Assert.InRange(guessed, 0, 10);
        Assert.InRange(halves, 32_000, 33_600);
    }

    /// <summary>A peer with a session with one device, which is gone: what it sends goes to another one with the same key.</summary>
    private static (SimNode A, SimNode B, SimNode Next) Start(SimNetwork network, ushort tag)
    {
        SimNode a = network.Node(1), b = network.Node(2), next = network.Node(2, generation: 1);
        next.At = SimNetwork.Address(3);
        var there = a.Add(b);
        foreach (var device in (SimNode[])[b, next])
        {
            device.Device.AddPeer(
                new WireGuardPeerOptions { PublicKey = a.Device.PublicKey, AllowedIPs = [IPNetwork.Parse("10.0.0.1/32")], Tag = tag }, network.Now);
        }

        a.Send(b, "before");
        network.Run(20);
        Assert.Equal(["before"], b.Texts);
        there.SetEndpoint(next.At);
        return (a, b, next);
    }
}
