using System.Buffers.Binary;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>Where things are in a TCP packet without IP options or extension headers: RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1.</summary>
internal readonly struct TcpLayout
{
    public const byte Protocol = 6;

    /// <summary>Flags, in byte 13 of the TCP header.</summary>
    public const byte Fin = 1, Psh = 8, Ack = 16, Cwr = 128;

    /// <summary>Offsets in the TCP header.</summary>
    public const int SequenceAt = 4, AcknowledgmentAt = 8, FlagsAt = 13, WindowAt = 14, ChecksumAt = 16, HeaderLength = 20;

    public const int IPv4HeaderLength = 20, IPv6HeaderLength = 40;

    private TcpLayout(bool isIPv6, int tcpHeaderLength)
    {
        IsIPv6 = isIPv6;
        Payload = Tcp + tcpHeaderLength;
    }

    public bool IsIPv6 { get; }

    /// <summary>Length of the IP header, which is where TCP's begins.</summary>
    public int Tcp => IsIPv6 ? IPv6HeaderLength : IPv4HeaderLength;

    /// <summary>Length of all headers, which is where the payload begins.</summary>
    public int Payload { get; }

    /// <summary>Source and destination address, one after the other.</summary>
    public Range Addresses => IsIPv6 ? 8..40 : 12..20;

    /// <summary>False for what is not TCP, is a fragment, has options of IP, or is too short.</summary>
    public static bool TryRead(ReadOnlySpan<byte> packet, out TcpLayout layout)
    {
        layout = default;
        if (packet.Length < IPv4HeaderLength + HeaderLength) return false;
        bool six = packet[0] >> 4 == 6;
        if (six)
        {
            if (packet.Length < IPv6HeaderLength + HeaderLength || packet[6] != Protocol) return false;
        }
        else if (packet[0] != 0x45 || packet[9] != Protocol || (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x3fff) != 0)
        {
            return false;
        }

        int tcpHeaderLength = packet[(six ? IPv6HeaderLength : IPv4HeaderLength) + 12] >> 4 << 2;
        layout = new TcpLayout(six, tcpHeaderLength);
        return tcpHeaderLength >= HeaderLength && layout.Payload <= packet.Length;
    }

    /// <summary>Writes the length of a packet into its IP header, and IPv4's header checksum.</summary>
    public static void WriteLength(Span<byte> packet, int length)
    {
        if (packet[0] >> 4 == 6)
        {
            BinaryPrimitives.WriteUInt16BigEndian(packet[4..], (ushort)(length - IPv6HeaderLength));
            return;
        }

        BinaryPrimitives.WriteUInt16BigEndian(packet[2..], (ushort)length);
        packet[10..12].Clear();
        InternetChecksum.Write(packet[10..], InternetChecksum.Add(0, packet[..IPv4HeaderLength]));
    }
}
