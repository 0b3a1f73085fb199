using System.Net;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

public sealed class RoamingTests
{
    [Fact]
    public void Replies_follow_an_authentic_packet_to_another_address_and_port()
    {
        using var network = new SimNetwork(1);
        var (a, b) = network.Pair(bothKnow: false);
        a.Send(b, "here");
        network.Run(1);
        a.At = new WireGuardEndpoint(IPEndPoint.Parse("[2001:db8::9]:7"));
        a.Send(b, "there");
        network.Run(1);
        Assert.Equal(a.At, b.Device.FindPeer(a.Device.PublicKey)!.Endpoint);
        b.Send(a, "found you");
        network.Run(1);
        Assert.Equal(["found you"], a.Texts);
    }

    [Fact]
    public void Replayed_and_forged_packets_move_nobody()
    {
        using var network = new SimNetwork(2);
        var (a, b) = network.Pair();
        byte[]? seen = null;
        network.Passes = (from, _, bytes) =>
        {
            if (from == a.At && WireGuardWire.TypeOf(bytes) == WireGuardMessageType.TransportData)
                seen = bytes.ToArray();
            return true;
        };
        a.Send(b, "x");
        network.Run(1);
        a.Send(b, "y");
        network.Run(1);
        Assert.NotNull(seen);
        var elsewhere = SimNetwork.Address(99);
        b.Device.ReceiveBatch(seen.ToArray(), 0, elsewhere, network.Now, b);
        seen[^1] ^= 1;
        b.Device.ReceiveBatch(seen.ToArray(), 0, elsewhere, network.Now, b);
        Assert.Equal(1, b.Device.Drops[WireGuardDrop.Replayed]);
        Assert.Equal(1, b.Device.Drops[WireGuardDrop.NotAuthentic]);
        Assert.Equal(a.At, b.Device.FindPeer(a.Device.PublicKey)!.Endpoint);
        // Nor does an initiation that was seen before.
        var initiation = a.Sent.First(static s => WireGuardWire.TypeOf(s.Bytes) == WireGuardMessageType.HandshakeInitiation).Bytes;
        b.Device.ReceiveHandshake(initiation, elsewhere, network.Now, b);
        Assert.Equal(1, b.Device.Drops[WireGuardDrop.ReplayedInitiation]);
        Assert.Equal(a.At, b.Device.FindPeer(a.Device.PublicKey)!.Endpoint);
    }

    [Theory]
    [InlineData("192.0.2.1:51820", "192.0.2.1:51820")]
    [InlineData("[::ffff:192.0.2.1]:1", "192.0.2.1:1")]
    [InlineData("[2001:db8::1]:65535", "[2001:db8::1]:65535")]
    [InlineData("[fe80::1%3]:9", "[fe80::1%3]:9")]
    public void Endpoints_keep_what_they_are(string text, string expected)
    {
        var endpoint = new WireGuardEndpoint(IPEndPoint.Parse(text), path: 4);
        Assert.Equal(expected, endpoint.ToString());
        Assert.Equal(4, endpoint.Path);
        Assert.Equal(new WireGuardEndpoint(endpoint.ToIPEndPoint()!, 4), endpoint);
        Assert.NotEqual(new WireGuardEndpoint(endpoint.ToIPEndPoint()!, 5), endpoint);
        Assert.Null(default(WireGuardEndpoint).ToIPEndPoint());
        Assert.Equal("none", default(WireGuardEndpoint).ToString());
    }

    [Fact]
    public void A_socket_of_both_families_gets_mapped_addresses()
    {
        var bytes = new byte[16];
        Assert.Equal(16, new WireGuardEndpoint([192, 0, 2, 1], 5).WriteAddress(bytes, mapped: true));
        Assert.Equal("::ffff:192.0.2.1", new IPAddress(bytes).ToString());
        Assert.Equal(4, new WireGuardEndpoint([192, 0, 2, 1], 5).WriteAddress(bytes));
        Assert.Throws<ArgumentException>(() => new WireGuardEndpoint(new byte[5], 5));
    }
}
