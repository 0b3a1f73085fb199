using System.Buffers.Binary;
using Relay.Gateway.WireGuard.Tun;

namespace Relay.Tests.Gateway.WireGuard;

public sealed class SuperPacketTests
{
    [Theory]
    [InlineData(false, 3000, 1380)]
    [InlineData(true, 60000, 1360)]
    [InlineData(false, 1381, 1380)]
    [InlineData(true, 1, 1)]
    [InlineData(false, 65495, 536)]
    public void A_large_packet_is_cut_into_whole_ones(bool six, int payload, int segment)
    {
        const byte Flags = TransportLayout.Ack | TransportLayout.Psh | TransportLayout.Fin | TransportLayout.Cwr;
        var packet = TcpPacket(six, payload, sequence: 0xffff_ff00, Flags);
        var header = new VirtioHeader { Flags = 1, Segmentation = six ? VirtioHeader.Tcp6 : VirtioHeader.Tcp4, SegmentPayload = (ushort)segment, ChecksumStart = (ushort)(six ? 40 : 20), ChecksumOffset = 16 };
        Assert.True(SuperPacket.TryRead(packet, header, out var super));
        var headers = (six ? 40 : 20) + 32;
        var (offset, identification) = (0, 0x1234);
        while (super.NextLength > 0)
        {
            var part = new byte[super.NextLength];
            super.WriteNext(part);
            var expected = Math.Min(segment, payload - offset);
            Assert.Equal(headers + expected, part.Length);
            var tcp = part.AsSpan(six ? 40 : 20);
            Assert.Equal(unchecked(0xffff_ff00 + (uint)offset), BinaryPrimitives.ReadUInt32BigEndian(tcp[4..]));
            var (first, last) = (offset == 0, offset + expected == payload);
            Assert.Equal(TransportLayout.Ack | (last ? TransportLayout.Psh | TransportLayout.Fin : 0) | (first ? TransportLayout.Cwr : 0), tcp[13]);
            Assert.True(packet.AsSpan(headers + offset, expected).SequenceEqual(part.AsSpan(headers)));
            if (six)
            {
                Assert.Equal(part.Length - 40, BinaryPrimitives.ReadUInt16BigEndian(part.AsSpan(4)));
            }
            else
            {
                Assert.Equal(part.Length, BinaryPrimitives.ReadUInt16BigEndian(part.AsSpan(2)));
                Assert.Equal(identification++, BinaryPrimitives.ReadUInt16BigEndian(part.AsSpan(4)));
                Assert.Equal(0xffff, NaiveSum(part.AsSpan(0, 20), 0));
            }

            // A right checksum makes the sum of everything, the pseudo header included, all ones.
            Assert.Equal(0xffff, NaiveSum(tcp, NaiveSum(part.AsSpan(six ? 8 : 12, six ? 32 : 8), 6 + (uint)tcp.Length)));
            offset += expected;
        }

        Assert.Equal(payload, offset);
    }

    [Fact]
    public void What_can_not_be_is_not_read()
    {
        var packet = TcpPacket(false, 100, 1, TransportLayout.Ack);
        Assert.False(SuperPacket.TryRead(packet, new VirtioHeader { Segmentation = VirtioHeader.Udp, SegmentPayload = 10 }, out _));
        Assert.False(SuperPacket.TryRead(packet, new VirtioHeader { Segmentation = VirtioHeader.Tcp4 }, out _));
        Assert.False(SuperPacket.TryRead(packet, new VirtioHeader { Segmentation = 3, SegmentPayload = 10 }, out _));
        Assert.False(SuperPacket.TryRead(packet.AsSpan(0, 52), new VirtioHeader { Segmentation = VirtioHeader.Tcp4, SegmentPayload = 10 }, out _));
        Assert.False(SuperPacket.TryRead(packet, new VirtioHeader { Flags = 1, ChecksumStart = 140, ChecksumOffset = 16 }, out _));
        for (var length = 0; length < 52; length++)
            Assert.False(SuperPacket.TryRead(packet.AsSpan(0, length), new VirtioHeader { Segmentation = VirtioHeader.Tcp4, SegmentPayload = 10 }, out _));
    }

    [Fact]
    public void The_checksum_is_that_of_a_naive_sum()
    {
        var random = new Random(4);
        for (var length = 0; length < 300; length++)
        {
            var bytes = new byte[length];
            random.NextBytes(bytes);
            var field = new byte[2];
            InternetChecksum.WritePartial(field, InternetChecksum.Add(0, bytes));
            Assert.Equal(NaiveSum(bytes, 0), BinaryPrimitives.ReadUInt16BigEndian(field));
        }
    }

    private static byte[] TcpPacket(bool six, int payload, uint sequence, byte flags)
    {
        var at = six ? 40 : 20;
        var packet = new byte[at + 32 + payload];
        new Random(payload).NextBytes(packet);
        packet[0] = (byte)(six ? 0x60 : 0x45);
        if (six)
        {
            packet[6] = 6;
        }
        else
        {
            packet[9] = 6;
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), 0x1234);
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(6), 0x4000);
        }

        packet[at + 12] = 8 << 4;
        packet[at + 13] = flags;
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(at + 4), sequence);
        return packet;
    }

    private static ushort NaiveSum(ReadOnlySpan<byte> bytes, uint sum)
    {
        for (var i = 0; i < bytes.Length; i++)
            sum += (uint)(i % 2 == 0 ? bytes[i] << 8 : bytes[i]);
        while (sum >> 16 != 0)
            sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)sum;
    }
}
