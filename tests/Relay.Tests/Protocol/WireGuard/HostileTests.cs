using System.Buffers.Binary;
using System.Text;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Whatever comes in: nothing is thrown, nothing is delivered, nothing stays behind.</summary>
public sealed class HostileTests
{
    [Fact]
    public void Every_type_and_length_is_dropped()
    {
        using var network = new SimNetwork(1);
        var (a, b) = network.Pair();
        a.Send(b, "x");
        network.Run(1);
        var sessions = b.Device.Sessions;
        var index = a.Device.FindPeer(b.Device.PublicKey)!.Keypairs.Current!.RemoteIndex;
        var random = new Random(1);
        var datagram = new byte[2048];
        for (var length = 0; length <= 2048; length++)
        {
            for (var type = 0; type <= 6; type++)
            {
                random.NextBytes(datagram);
                BinaryPrimitives.WriteInt32LittleEndian(datagram, type == 6 ? random.Next() : type);
                // Half of them at a session that exists.
                if (random.Next(2) == 0)
                    BinaryPrimitives.WriteUInt32LittleEndian(datagram.AsSpan(type == 2 ? 8 : 4), index);
                b.Device.ReceiveBatch(datagram.AsSpan(0, length), random.Next(2) == 0 ? 0 : random.Next(1, 200), a.At, network.Now, b);
                b.Device.ReceiveHandshake(datagram.AsSpan(0, length), a.At, network.Now, b);
            }
        }

        Assert.Equal(["x"], b.Texts);
        Assert.Equal(sessions, b.Device.Sessions);
        Assert.Equal(0, b.CountSent(WireGuardMessageType.CookieReply));
        a.Send(b, "y");
        network.Run(1);
        Assert.Equal(["x", "y"], b.Texts);
    }

    [Fact]
    public void Every_bit_of_every_message_matters()
    {
        using var network = new SimNetwork(2);
        var messages = new List<(WireGuardEndpoint To, byte[] Bytes)>();
        SimNode a = network.Node(1), b = network.Node(2, loadThreshold: 1);
        a.Add(b);
        b.Add(a, knowsWhere: false);
        // Everything is held back; each message is first tried with each of its bits changed.
        network.Passes = (_, to, bytes) =>
        {
            messages.Add((to, bytes));
            return false;
        };
        a.Send(b, "payload");
        var kinds = new HashSet<WireGuardMessageType>();
        for (var i = 0; i < 200 && b.Delivered.Count == 0; i++)
        {
            if (messages.Count == 0)
            {
                network.Run(1);
                continue;
            }

            var (to, bytes) = messages[0];
            messages.RemoveAt(0);
            var (receiver, sender) = to == a.At ? (a, b) : (b, a);
            kinds.Add(WireGuardWire.TypeOf(bytes));
            for (var bit = 0; bit < bytes.Length * 8; bit++)
            {
                var changed = bytes.ToArray();
                changed[bit / 8] ^= (byte)(1 << (bit % 8));
                // mac2 counts only under load: a changed one passes otherwise, and is the same message.
                if (WireGuardWire.TypeOf(bytes) is WireGuardMessageType.HandshakeInitiation or WireGuardMessageType.HandshakeResponse && bit >= (bytes.Length - 16) * 8)
                    continue;
                var (sessions, peer) = (receiver.Sessions.Count, receiver.Device.FindPeer(sender.Device.PublicKey)!);
                var (endpoint, answered, received) = (peer.Endpoint, receiver.CountSent(WireGuardMessageType.HandshakeResponse), peer.ReceivedBytes);
                receiver.Device.ReceiveBatch(changed, 0, SimNetwork.Address(99), network.Now, receiver);
                Assert.Equal(sessions, receiver.Sessions.Count);
                Assert.Equal(answered, receiver.CountSent(WireGuardMessageType.HandshakeResponse));
                Assert.Equal(received, peer.ReceivedBytes);
                Assert.Equal(endpoint, peer.Endpoint);
                Assert.Empty(receiver.Delivered);
            }

            messages.Clear();
            receiver.Device.ReceiveBatch(bytes, 0, sender.At, network.Now, receiver);
        }

        Assert.Equal(["payload"], b.Texts);
        Assert.Contains(WireGuardMessageType.HandshakeInitiation, kinds);
        Assert.Contains(WireGuardMessageType.HandshakeResponse, kinds);
        Assert.Contains(WireGuardMessageType.TransportData, kinds);
    }

    [Fact]
    public void Inner_headers_that_lie_about_their_length_are_dropped()
    {
        var random = new Random(3);
        var packet = new byte[64];
        for (var i = 0; i < 200_000; i++)
        {
            random.NextBytes(packet);
            var padded = packet.AsSpan(0, random.Next(0, 65));
            if (padded.Length > 0)
                padded[0] = (byte)(random.Next(2) == 0 ? 0x45 : random.Next(2) == 0 ? 0x60 : padded[0]);
            // Small lengths, so that some are right.
            if (padded.Length > 5)
                (padded[2], padded[4]) = (0, 0);
            if (InnerPacket.TryRead(padded, out var length, out var source))
            {
                Assert.InRange(length, 20, padded.Length);
                Assert.Equal(padded[0] >> 4 == 6, source.IsIPv6);
            }

            Assert.Equal(padded.Length >= 20 && padded[0] >> 4 == 4 || padded.Length >= 40 && padded[0] >> 4 == 6, InnerPacket.TryReadDestination(padded, out _));
        }
    }

    // A driver that hands over what GRO made: good and bad segments side by side, the last one short.
    [Fact]
    public void A_run_delivers_its_good_segments_in_order_and_drops_the_rest()
    {
        using var network = new SimNetwork(4);
        var (a, b) = network.Pair();
        a.Send(b, "x");
        network.Run(1);
        var run = new byte[(5 * 64) + 32];
        using (var batch = a.Device.BeginSend(a.Device.FindPeer(b.Device.PublicKey)!, network.Now, a))
        {
            Assert.True(batch.IsOpen);
            for (var i = 0; i < 5; i++)
            {
                var packet = Inner.IPv4("10.0.0.1", "10.0.0.2", Encoding.ASCII.GetBytes($"{i}-567890"));
                packet.CopyTo(run, (i * 64) + 16);
                Assert.Equal(64, batch.Seal(run.AsSpan(i * 64), packet.Length));
            }

            Assert.Equal(32, batch.Seal(run.AsSpan(5 * 64), 0));
        }

        run[(1 * 64) + 20] ^= 1;
        run[2 * 64] = 9;
        b.Device.ReceiveBatch(run, 64, a.At, network.Now, b);
        Assert.Equal(["x", "0-567890", "3-567890", "4-567890"], b.Texts);
        Assert.Equal(1, b.Device.Drops[WireGuardDrop.NotAuthentic]);
        Assert.Equal(1, b.Device.Drops[WireGuardDrop.Malformed]);
    }
}
