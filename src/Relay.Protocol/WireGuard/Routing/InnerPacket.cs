using System.Buffers.Binary;

namespace Relay.Protocol.WireGuard;

/// <summary>Reads of an inner packet what cryptokey routing needs, whitepaper §2 and §5.4.6: RFC 791 §3.1, RFC 8200 §3.</summary>
internal static class InnerPacket
{
    private const int IPv4HeaderLength = 20;
    private const int IPv6HeaderLength = 40;

    /// <summary>False unless the bytes begin with an IPv4 or IPv6 header; the lengths in it are not looked at.</summary>
    public static bool TryReadDestination(ReadOnlySpan<byte> packet, out InnerAddress destination)
    {
        destination = default;
        if (packet.Length >= IPv4HeaderLength && packet[0] >> 4 == 4)
            destination = InnerAddress.Read(packet.Slice(16, 4));
        else if (packet.Length >= IPv6HeaderLength && packet[0] >> 4 == 6)
            destination = InnerAddress.Read(packet.Slice(24, 16));
        else
            return false;
        return true;
    }

    /// <summary>Takes the padding off: false unless the header's length is that of a packet within the bytes.</summary>
    /// <param name="padded">A decrypted packet with its padding.</param>
    /// <param name="length">Length of the packet in bytes, by its own header.</param>
    /// <param name="source">Whose it claims to be.</param>
    public static bool TryRead(ReadOnlySpan<byte> padded, out int length, out InnerAddress source)
    {
        length = 0;
        source = default;
        if (padded.Length >= IPv4HeaderLength && padded[0] >> 4 == 4)
        {
            length = BinaryPrimitives.ReadUInt16BigEndian(padded[2..]);
            source = InnerAddress.Read(padded.Slice(12, 4));
            return length >= IPv4HeaderLength && length <= padded.Length;
        }

        if (padded.Length >= IPv6HeaderLength && padded[0] >> 4 == 6)
        {
            length = BinaryPrimitives.ReadUInt16BigEndian(padded[4..]) + IPv6HeaderLength;
            source = InnerAddress.Read(padded.Slice(8, 16));
            return length <= padded.Length;
        }

        return false;
    }
}
