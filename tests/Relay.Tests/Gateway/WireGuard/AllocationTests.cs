using System.Net;
using System.Security.Cryptography;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Tun;
using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>What the loops do for each packet, but for the interface: cut, encrypt, send, receive, decrypt, judge. Nothing of it is allocated.</summary>
public sealed class AllocationTests
{
    private const int Payload = 44 * 1380, Packets = 44, DataHeaderLength = 16;

    [Fact]
    public void No_packet_costs_an_allocation()
    {
        var options = new WireGuardOptions { Listen = new IPEndPoint(IPAddress.Loopback, 0) };
        using var ends = new Ends(options);
        using var outside = UdpSocket.Open(options.Listen, shared: false);
        using var inside = UdpSocket.Open(options.Listen, shared: false);
        var addresses = new LocalAddresses();
        using var sender = new UdpSender(outside, addresses);
        using var receiver = new UdpReceiver(inside, addresses);
        var to = new WireGuardEndpoint(inside.LocalEndPoint);
        var packet = LargePacket();
        var header = new VirtioHeader { Flags = 1, Segmentation = VirtioHeader.Tcp4, SegmentPayload = Payload / Packets, ChecksumStart = 20, ChecksumOffset = 16 };
        for (var round = 0; round < 50; round++) Pass();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var round = 0; round < 200; round++) Pass();
        // Not even one object a round.
        // What a collection meanwhile takes of this thread's share of the heap counts as allocated.
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 32 * 1024);
        Assert.Equal(250 * Packets, ends.Passed);

        void Pass()
        {
            var batch = ends.Client.BeginSend(ends.ToGateway, Ends.Now, ends);
            if (!SuperPacket.TryRead(packet, header, out var super) || ends.Client.Route(packet) != ends.ToGateway) throw new InvalidOperationException("not to be cut");
            while (super.NextLength is var length && length > 0)
            {
                var room = sender.Reserve(ends.Client.SealedLength(length));
                super.WriteNext(room[DataHeaderLength..]);
                sender.Commit(to, batch.Seal(room, length));
            }

            batch.Dispose();
            sender.Flush();
            // As many receives as it takes, each waits a quarter of a second at most.
            var wanted = ends.Passed + Packets;
            for (var turn = 0; turn < 200 && ends.Passed < wanted; turn++)
            {
                var messages = receiver.Receive();
                for (var i = 0; i < messages; i++)
                {
                    var datagrams = receiver.Read(i, out var source, out var segmentLength);
                    ends.Gateway.ReceiveBatch(datagrams, segmentLength, source, Ends.Now, ends);
                }
            }
        }
    }

    // A segment as the kernel gives it with TSO: from the client to a resource.
    private static byte[] LargePacket()
    {
        var packet = new byte[40 + Payload];
        packet[0] = 0x45;
        TransportLayout.WriteIPLength(packet, packet.Length);
        (packet[8], packet[9]) = (64, 6);
        ((byte[])[100, 124, 0, 2, 100, 126, 0, 1]).CopyTo(packet, 12);
        (packet[32], packet[33]) = (0x50, TransportLayout.Ack);
        return packet;
    }

    /// <summary>A client and a gateway with a session; the gateway's filter judges what comes out.</summary>
    private sealed class Ends : IWireGuardSink, IDisposable
    {
        private static readonly WireGuardEndpoint s_client = new([192, 0, 2, 1], 1), s_gateway = new([192, 0, 2, 2], 2);
        private readonly InnerFilter _filter;

        public Ends(WireGuardOptions options)
        {
            _filter = new InnerFilter(options.Devices, options.Resources, options.Own);
            (Client, Gateway) = (NewDevice(), NewDevice());
            ToGateway = Client.AddPeer(new() { PublicKey = Gateway.PublicKey, Endpoint = s_gateway, AllowedIPs = [IPNetwork.Parse("0.0.0.0/0")] }, Now)!;
            Gateway.AddPeer(new() { PublicKey = Client.PublicKey, AllowedIPs = [IPNetwork.Parse("100.124.0.2/32")] }, Now);
            Client.Send(LargePacket().AsSpan(0, 40), Now, this);
            Passed = 0;
        }

        public static TimeSpan Now => TimeSpan.FromSeconds(10);

        public WireGuardDevice Client { get; }

        public WireGuardDevice Gateway { get; }

        public WireGuardPeer ToGateway { get; }

        public int Passed { get; private set; }

        public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram)
        {
            var copy = datagram.ToArray();
            if (to == s_gateway) Gateway.ReceiveBatch(copy, 0, s_client, Now, this);
            else Client.ReceiveBatch(copy, 0, s_gateway, Now, this);
        }

        public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => (from == s_client ? Gateway : Client).ReceiveHandshake(message, from, Now, this);

        public void Deliver(WireGuardPeer peer, Span<byte> packet)
        {
            if (_filter.Judge(packet) == InnerVerdict.Pass) Passed++;
        }

        public void Established(WireGuardPeer peer)
        {
        }

        public void Dispose()
        {
            Client.Dispose();
            Gateway.Dispose();
        }

        private static WireGuardDevice NewDevice() =>
            new(new WireGuardDeviceOptions { PrivateKey = RandomNumberGenerator.GetBytes(32), Epoch = DateTimeOffset.UnixEpoch.AddYears(60), LoadThreshold = int.MaxValue });
    }
}
