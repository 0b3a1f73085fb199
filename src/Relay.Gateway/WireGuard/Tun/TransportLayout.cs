using System.Buffers.Binary;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>Where things are in a TCP or UDP packet without IP options or extension headers: RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1, RFC 768.</summary>
internal readonly struct TransportLayout
{
    public const byte Tcp = 6, Udp = 17;

    /// <summary>Flags, in byte 13 of the TCP header.</summary>
    public const byte Fin = 1, Psh = 8, Ack = 16, Cwr = 128;

    /// <summary>Offsets in the TCP header, and its length without options.</summary>
    public const int SequenceAt = 4, AcknowledgmentAt = 8, FlagsAt = 13, WindowAt = 14, TcpHeaderLength = 20;

    /// <summary>Offset of the length in the UDP header, and the header's own.</summary>
    public const int UdpLengthAt = 4, UdpHeaderLength = 8;

    public const int IPv4HeaderLength = 20, IPv6HeaderLength = 40;

    private TransportLayout(bool isIPv6, byte protocol, int headerLength)
    {
        IsIPv6 = isIPv6;
        Protocol = protocol;
        Payload = Transport + headerLength;
    }

    public bool IsIPv6 { get; }

    /// <summary><see cref="Tcp"/> or <see cref="Udp"/>.</summary>
    public byte Protocol { get; }

    /// <summary>Length of the IP header, which is where the other one begins.</summary>
    public int Transport => IsIPv6 ? IPv6HeaderLength : IPv4HeaderLength;

    /// <summary>Length of all headers, which is where the payload begins.</summary>
    public int Payload { get; }

    /// <summary>Offset of the checksum in the TCP or UDP header.</summary>
    public int ChecksumAt => Protocol == Tcp ? 16 : 6;

    /// <summary>Source and destination address, one after the other.</summary>
    public Range Addresses => IsIPv6 ? 8..40 : 12..20;

    /// <summary>False for what is neither TCP nor UDP, is a fragment, has options of IP, or is too short.</summary>
    public static bool TryRead(ReadOnlySpan<byte> packet, out TransportLayout layout)
    {
        layout = default;
        if (packet.Length < IPv4HeaderLength + UdpHeaderLength) return false;
        bool six = packet[0] >> 4 == 6;
        if (six ? packet.Length < IPv6HeaderLength + UdpHeaderLength : packet[0] != 0x45 || (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x3fff) != 0) return false;
        byte protocol = packet[six ? 6 : 9];
        int headerLength = UdpHeaderLength;
        if (protocol == Tcp)
        {
            int lengthAt = (six ? IPv6HeaderLength : IPv4HeaderLength) + 12;
            if (packet.Length <= lengthAt) return false;
            headerLength = packet[lengthAt] >> 4 << 2;
            if (headerLength < TcpHeaderLength) return false;
        }
        else if (protocol != Udp)
        {
            return false;
        }

        layout = new TransportLayout(six, protocol, headerLength);
        return layout.Payload <= packet.Length;
    }

    /// <summary>Writes the length of a packet into its IP header, and IPv4's header checksum.</summary>
    public static void WriteIPLength(Span<byte> packet, int length)
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

    /// <summary>The same, and UDP's own length.</summary>
    public void WriteLength(Span<byte> packet, int length)
    {
        WriteIPLength(packet, length);
        if (Protocol == Udp) BinaryPrimitives.WriteUInt16BigEndian(packet[(Transport + UdpLengthAt)..], (ushort)(length - Transport));
    }
}
