using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Relay.Gateway.WireGuard;
using Relay.Gateway.WireGuard.Loops;
using Relay.Gateway.WireGuard.Tun;
using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>The loops as they run, with sockets and an interface of the kernel's: nothing is allocated for a packet, in or out.</summary>
public sealed class LoopAllocationTests
{
    private const int Packets = 30, Rounds = 200;

    // What a collection meanwhile takes of this thread's share of the heap counts as allocated. One object for each packet would be five times as much.
    private const int Noise = 32 * 1024;

    [Fact]
    public async Task No_packet_costs_the_loops_an_allocation()
    {
        Assert.SkipUnless(NetworkNamespace.IsAvailable, "Needs root and /dev/net/tun.");
        await using var network = await NetworkNamespace.CreateAsync();
        using var ends = network.Run(() => new Ends());
        await network.RunAsync("ip", "link", "set", Ends.Interface, "up");
        await network.RunAsync("ip", "addr", "add", "100.124.100.100/16", "dev", Ends.Interface);
        var (inward, outward) = ends.Measure();
        Assert.InRange(inward, 0, Noise);
        Assert.InRange(outward, 0, Noise);
    }

    /// <summary>The gateway's loops, and a device that they carry packets of.</summary>
    private sealed class Ends : IWireGuardSink, IDisposable
    {
        public const string Interface = "alloc0";

        private static readonly TunnelClock s_clock = new(new ManualTimeProvider());
        private static readonly byte[] s_inward = Packet(), s_outward = new byte[1200];

        private readonly WireGuardDevice _gateway = NewDevice(), _device = NewDevice();
        private readonly WireGuardPeer _toGateway;
        private readonly UdpSocket _gatewaySocket = NewSocket(), _deviceSocket = NewSocket();
        private readonly Socket _inside = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        private readonly TunDevice _tun = TunDevice.Open(Interface, multiQueue: false);
        private readonly HandshakeQueue _handshakes = new();
        private readonly UdpSender _sender;
        private readonly UdpReceiver _receiver;
        private readonly InboundLoop _inbound;
        private readonly OutboundLoop _outbound;
        private readonly ControlLoop _control;
        private int _delivered;

        public Ends()
        {
            var options = new WireGuardOptions { Listen = new IPEndPoint(IPAddress.Loopback, 0) };
            var addresses = new LocalAddresses();
            _toGateway = _device.AddPeer(
                new() { PublicKey = _gateway.PublicKey, Endpoint = new WireGuardEndpoint(_gatewaySocket.LocalEndPoint), AllowedIPs = [IPNetwork.Parse("0.0.0.0/0")] }, s_clock.Now)!;
            _gateway.AddPeer(new() { PublicKey = _device.PublicKey, AllowedIPs = [IPNetwork.Parse("100.124.0.2/32")] }, s_clock.Now);
            (_sender, _receiver) = (new UdpSender(_deviceSocket, new LocalAddresses()), new UdpReceiver(_deviceSocket, new LocalAddresses()));
            _inbound = new InboundLoop(_gateway, options, s_clock, new UdpReceiver(_gatewaySocket, addresses), new UdpSender(_gatewaySocket, addresses), _tun, _handshakes);
            _outbound = new OutboundLoop(_gateway, s_clock, _tun, new UdpSender(_gatewaySocket, addresses), _handshakes);
            _control = new ControlLoop(_gateway, s_clock, new UdpSender(_gatewaySocket, addresses), _handshakes);
        }

        /// <summary>Bytes that the loops' turns allocated on this thread, once both are warm.</summary>
        public (long Inward, long Outward) Measure()
        {
            _device.Send(s_inward, s_clock.Now, this);
            _sender.Flush();
            for (var turn = 0; turn < 200 && _gateway.Handshakes == 0; turn++)
            {
                _inbound.Turn();
                _control.Turn();
                Receive();
                _sender.Flush();
            }

            Assert.Equal(1, _gateway.Handshakes);
            _inside.Connect(IPAddress.Parse("100.124.0.2"), 9);
            var (inward, outward) = (0L, 0L);
            for (var round = -50; round < Rounds; round++)
            {
                var (a, b) = (Inward(), Outward());
                if (round >= 0) (inward, outward) = (inward + a, outward + b);
            }

            return (inward, outward);
        }

        public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram) => _sender.Add(to, datagram);

        public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => _device.ReceiveHandshake(message, from, s_clock.Now, this);

        // By the port: the kernel has to say things on a new interface, too.
        public void Deliver(WireGuardPeer peer, Span<byte> packet) => _delivered += packet[9] == 17 && packet[23] == 9 ? 1 : 0;

        public void Established(WireGuardPeer peer)
        {
        }

        public void Dispose()
        {
            foreach (var owned in (IDisposable[])[_inbound, _outbound, _control, _sender, _receiver, _inside, _tun, _gatewaySocket, _deviceSocket, _handshakes, _gateway, _device]) owned.Dispose();
        }

        private static WireGuardDevice NewDevice() =>
            new(new WireGuardDeviceOptions { PrivateKey = RandomNumberGenerator.GetBytes(32), Epoch = s_clock.Epoch, LoadThreshold = int.MaxValue });

        private static UdpSocket NewSocket() => UdpSocket.Open(new IPEndPoint(IPAddress.Loopback, 0), shared: false);

        // From the device to a resource: nobody is there, so the kernel takes it and says nothing.
        private static byte[] Packet()
        {
            var packet = new byte[1240];
            packet[0] = 0x45;
            TransportLayout.WriteIPLength(packet, packet.Length);
            (packet[8], packet[9]) = (64, 6);
            ((byte[])[100, 124, 0, 2, 100, 126, 0, 1]).CopyTo(packet, 12);
            (packet[32], packet[33]) = (0x50, TransportLayout.Ack);
            return packet;
        }

        private long Inward()
        {
            var batch = _device.BeginSend(_toGateway, s_clock.Now, this);
            for (var i = 0; i < Packets; i++)
            {
                var room = _sender.Reserve(_device.SealedLength(s_inward.Length));
                s_inward.CopyTo(room[16..]);
                _sender.Commit(batch.Endpoint, batch.Seal(room, s_inward.Length));
            }

            batch.Dispose();
            _sender.Flush();
            var wanted = _inbound.Packets.Taken + Packets;
            var before = GC.GetAllocatedBytesForCurrentThread();
            // A turn waits a quarter of a second at most.
            for (var turn = 0; turn < 200 && _inbound.Packets.Taken < wanted; turn++) _inbound.Turn();
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Equal(wanted, _inbound.Packets.Taken);
            return allocated;
        }

        private long Outward()
        {
            for (var i = 0; i < Packets; i++) _inside.Send(s_outward.AsSpan());
            var (wanted, allocated) = (_delivered + Packets, 0L);
            for (var turn = 0; turn < 200 && _delivered < wanted; turn++)
            {
                var before = GC.GetAllocatedBytesForCurrentThread();
                _outbound.Turn();
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
                Receive();
            }

            Assert.Equal(wanted, _delivered);
            return allocated;
        }

        private void Receive()
        {
            var messages = _receiver.Receive();
            for (var i = 0; i < messages; i++)
            {
                var datagrams = _receiver.Read(i, out var source, out var segmentLength);
                _device.ReceiveBatch(datagrams, segmentLength, source, s_clock.Now, this);
            }
        }
    }
}
