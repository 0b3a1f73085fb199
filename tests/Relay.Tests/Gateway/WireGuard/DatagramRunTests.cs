using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Relay.Gateway.WireGuard.Flows;
using Relay.Gateway.WireGuard.Tun;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>Datagrams of one length cross between the interface and a flow's socket as one, on a real interface, and come out as they were.</summary>
public sealed class DatagramRunTests
{
    private const int Port = 7, DevicePort = 5000;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Datagrams_are_joined_on_their_way_in(bool six)
    {
        await using var ends = await Ends.StartAsync(six);
        using var coalescer = new PacketCoalescer(ends.Tun);
        // A run with a shorter one at its end, which ends it; a longer one, which is in none; one without a checksum, which is not joined.
        int[] lengths = [500, 500, 500, 200, 300, 700, 700, 90, 90];
        var sent = lengths.Select(RandomNumberGenerator.GetBytes).ToArray();
        var packets = sent.Select(ends.FromDevice).ToArray();
        packets[^2].AsSpan(ends.UdpAt + 6, 2).Clear();
        foreach (var packet in packets) coalescer.Add(packet);
        coalescer.Flush();
        Assert.Equal(9, coalescer.Taken);
        // 500 500 500 200 | 300 | 700 700 | 90 | 90; IPv6 has no datagrams without a checksum, and the kernel drops it.
        Assert.Equal(5, coalescer.Written);
        var (received, runs) = (new List<byte[]>(), new List<int>());
        var buffer = new byte[UdpFlowSocket.LongestRun];
        var expected = six ? sent.Where((_, i) => i != 7).ToArray() : sent;
        while (received.Count < expected.Length)
        {
            await ends.Socket.WaitAsync(Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
            while (ends.Socket.TryReceive(buffer, out var length, out var segmentLength) == SocketError.Success)
            {
                runs.Add(length);
                received.AddRange(buffer[..length].Chunk(segmentLength));
            }
        }

        Assert.Equal(expected, received);
        Assert.Equal(six ? [1700, 300, 1400, 90] : [1700, 300, 1400, 90, 90], runs);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_run_is_one_packet_on_its_way_out_and_cut_there(bool six)
    {
        await using var ends = await Ends.StartAsync(six);
        var run = RandomNumberGenerator.GetBytes((10 * 600) + 100);
        await ends.Socket.SendAsync(run, 600, Cancellation);
        var packet = ends.ReadDatagrams(out var header);
        Assert.Equal(VirtioHeader.Udp, header.Segmentation);
        Assert.Equal(600, header.SegmentPayload);
        Assert.True(SuperPacket.TryRead(packet, header, out var super));
        var offset = 0;
        while (super.NextLength > 0)
        {
            var part = new byte[super.NextLength];
            super.WriteNext(part);
            Assert.True(TransportLayout.TryRead(part, out var layout));
            var udp = part.AsSpan(ends.UdpAt);
            Assert.Equal(udp.Length, BinaryPrimitives.ReadUInt16BigEndian(udp[4..]));
            // A right checksum makes the sum of everything all ones.
            Assert.Equal(0xffff, InternetChecksum.Fold(InternetChecksum.Add(InternetChecksum.Pseudo(part[layout.Addresses], 17, udp.Length), udp)));
            if (!six) Assert.Equal(0xffff, InternetChecksum.Fold(InternetChecksum.Add(0, part.AsSpan(0, 20))));
            Assert.True(run.AsSpan(offset, Math.Min(600, run.Length - offset)).SequenceEqual(udp[8..]));
            offset += udp.Length - 8;
        }

        Assert.Equal(run.Length, offset);
    }

    [Fact]
    public async Task Datagrams_that_can_not_be_cut_go_one_by_one()
    {
        await using var ends = await Ends.StartAsync(six: false);
        // Longer than the interface takes: each is fragmented by the kernel, as it would be by itself.
        var run = RandomNumberGenerator.GetBytes(2 * 2000);
        await ends.Socket.SendAsync(run, 2000, Cancellation);
        var bytes = 0;
        while (bytes < run.Length)
        {
            var packet = ends.ReadDatagrams(out var header);
            Assert.Equal(VirtioHeader.NoSegmentation, header.Segmentation);
            var isFirst = (BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(6)) & 0x1fff) == 0;
            bytes += packet.Length - 20 - (isFirst ? 8 : 0);
        }

        Assert.Equal(run.Length, bytes);
    }

    /// <summary>An interface, a flow's socket at its address, and a device behind it.</summary>
    private sealed class Ends : IAsyncDisposable
    {
        private const string Interface = "run0";

        private readonly NetworkNamespace _network;
        private readonly bool _six;

        private Ends(NetworkNamespace network, bool six, TunDevice tun, UdpFlowSocket socket) => (_network, _six, Tun, Socket) = (network, six, tun, socket);

        public TunDevice Tun { get; }

        public UdpFlowSocket Socket { get; }

        public int UdpAt => _six ? 40 : 20;

        private static (IPAddress Own, IPAddress Device) Addresses(bool six) =>
            six ? (IPAddress.Parse("fd62::1"), IPAddress.Parse("fd62::2")) : (IPAddress.Parse("10.9.0.1"), IPAddress.Parse("10.9.0.2"));

        public static async Task<Ends> StartAsync(bool six)
        {
            Assert.SkipUnless(NetworkNamespace.IsAvailable, "Needs root and /dev/net/tun.");
            var network = await NetworkNamespace.CreateAsync();
            var tun = network.Run(() => TunDevice.Open(Interface, multiQueue: false));
            Assert.True(tun.HasUdpOffload);
            var (own, device) = Addresses(six);
            await network.RunAsync("ip", "link", "set", Interface, "up", "mtu", "1420");
            await network.RunAsync("ip", "addr", "add", $"{own}/{(six ? 64 : 24)}", "dev", Interface, "nodad");
            var socket = await network.Run(() => UdpFlowSocket.OpenAsync(new IPEndPoint(own, Port), new IPEndPoint(device, DevicePort), Cancellation));
            return new Ends(network, six, tun, socket);
        }

        /// <summary>A packet from the device to the socket, in memory that does not move.</summary>
        public byte[] FromDevice(byte[] payload)
        {
            var (own, device) = Addresses(_six);
            var packet = GC.AllocateArray<byte>(UdpAt + 8 + payload.Length, pinned: true);
            if (_six) (packet[0], packet[6], packet[7]) = (0x60, 17, 64);
            else (packet[0], packet[8], packet[9]) = (0x45, 64, 17);
            device.GetAddressBytes().CopyTo(packet, _six ? 8 : 12);
            own.GetAddressBytes().CopyTo(packet, _six ? 24 : 16);
            var udp = packet.AsSpan(UdpAt);
            BinaryPrimitives.WriteUInt16BigEndian(udp, DevicePort);
            BinaryPrimitives.WriteUInt16BigEndian(udp[2..], Port);
            payload.CopyTo(udp[8..]);
            if (!TransportLayout.TryRead(packet, out var layout)) throw new InvalidOperationException("no packet");
            layout.WriteLength(packet, packet.Length);
            InternetChecksum.Write(udp[6..], InternetChecksum.Add(InternetChecksum.Pseudo(packet[layout.Addresses], 17, udp.Length), udp));
            return packet;
        }

        /// <summary>The next packet of UDP that the kernel gives; it says other things on a new interface, too.</summary>
        public byte[] ReadDatagrams(out VirtioHeader header)
        {
            var buffer = new byte[TunDevice.LongestRead];
            while (true)
            {
                var read = Tun.Read(buffer);
                if (read == 0)
                {
                    Assert.True(Tun.Wait(TimeSpan.FromSeconds(60)));
                    continue;
                }

                header = System.Runtime.InteropServices.MemoryMarshal.Read<VirtioHeader>(buffer);
                var packet = buffer[VirtioHeader.Length..read];
                if (packet[_six ? 6 : 9] == TransportLayout.Udp) return packet;
            }
        }

        public async ValueTask DisposeAsync()
        {
            Socket.Dispose();
            Tun.Dispose();
            await _network.DisposeAsync();
        }
    }
}
