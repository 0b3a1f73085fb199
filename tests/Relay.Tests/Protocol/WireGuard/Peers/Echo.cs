using System.Buffers.Binary;

namespace Relay.Tests.Protocol.WireGuard.Peers;

/// <summary>Echo requests that a kernel answers (RFC 792, RFC 4443), between the two addresses of the tunnel.</summary>
internal static class Echo
{
    public static byte[] Request(int identifier, int sequence)
    {
        var packet = Inner.IPv4(WireGuardGo.Us, WireGuardGo.Inside, new byte[24]);
        packet[9] = 1;
        WriteChecksum(packet, 10, 0, 20, 0);
        packet[20] = 8;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(24), (ushort)identifier);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(26), (ushort)sequence);
        WriteChecksum(packet, 22, 20, packet.Length, 0);
        return packet;
    }

    public static byte[] Request6(int identifier, int sequence)
    {
        var packet = Inner.IPv6(WireGuardGo.Us6, WireGuardGo.Inside6, new byte[24]);
        packet[6] = 58;
        packet[40] = 128;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(44), (ushort)identifier);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(46), (ushort)sequence);
        // The pseudo header: both addresses, length, next header.
        WriteChecksum(packet, 42, 8, packet.Length, 24 + 58);
        return packet;
    }

    public static bool IsReply(byte[] packet, int identifier) => SequenceOf(packet, identifier) >= 0;

    /// <summary>The sequence number of a reply; -1 for anything else.</summary>
    public static int SequenceOf(byte[] packet, int identifier)
    {
        var at = packet[0] >> 4 == 4 && packet[9] == 1 && packet[20] == 0 ? 20 : packet[0] >> 4 == 6 && packet[6] == 58 && packet[40] == 129 ? 40 : -1;
        return at > 0 && BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(at + 4)) == identifier ? BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(at + 6)) : -1;
    }

    private static void WriteChecksum(byte[] packet, int at, int from, int to, uint sum)
    {
        for (var i = from; i < to; i += 2)
            sum += BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(i));
        while (sum > 0xffff)
            sum = (sum & 0xffff) + (sum >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(at), (ushort)~sum);
    }
}
