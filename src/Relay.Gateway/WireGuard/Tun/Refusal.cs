using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>Why a device's packet gets an error for an answer.</summary>
internal enum RefusalCause
{
    /// <summary>"Communication administratively prohibited": RFC 1812 §5.2.7.1 (ICMP 3, 13) and RFC 4443 §3.1 (ICMPv6 1, 1).</summary>
    Prohibited = 0,

    /// <summary>"Port unreachable": RFC 792 (ICMP 3, 3) and RFC 4443 §3.1 (ICMPv6 1, 4).</summary>
    NobodyThere,
}

/// <summary>Writes the ICMP error that a packet is refused with.</summary>
internal static class Refusal
{
    /// <summary>Longest that one gets: what it quotes is bounded so that it fits any path.</summary>
    public const int MaxLength = 1280;

    private const int IcmpHeaderLength = 8;
    private const int QuotedOfIPv4 = 548;
    private const byte Icmp = 1, Icmp6 = 58, Udp = 17, TimeToLive = 64;

    /// <summary>Writes one.</summary>
    /// <param name="packet">The packet that is refused, from its IP header on.</param>
    /// <param name="own">Our address of the packet's family, which the message comes from.</param>
    /// <param name="to">Room for <see cref="MaxLength"/> bytes.</param>
    /// <param name="cause">What it says.</param>
    /// <returns>Its length; 0 when the packet must not be answered: RFC 1122 §3.2.2, RFC 4443 §2.4 (e).</returns>
    public static int Write(ReadOnlySpan<byte> packet, IPAddress own, Span<byte> to, RefusalCause cause = RefusalCause.Prohibited)
    {
        bool six = packet[0] >> 4 == 6;
        return six ? Write6(packet, own, to, cause) : Write4(packet, own, to, cause);
    }

    /// <summary>The start of the packet that a datagram came in, as far as its sender needs it to know which one was refused.</summary>
    /// <returns>Bytes written: IP and UDP header.</returns>
    public static int WriteDatagramHeader(IPEndPoint from, IPEndPoint dialled, int payloadLength, Span<byte> to)
    {
        bool six = from.AddressFamily == AddressFamily.InterNetworkV6;
        int ip = six ? TransportLayout.IPv6HeaderLength : TransportLayout.IPv4HeaderLength;
        to = to[..(ip + 8)];
        to.Clear();
        from.Address.TryWriteBytes(to[(six ? 8 : 12)..], out _);
        dialled.Address.TryWriteBytes(to[(six ? 24 : 16)..], out _);
        to[0] = (byte)(six ? 0x60 : 0x45);
        to[six ? 6 : 9] = Udp;
        to[six ? 7 : 8] = TimeToLive;
        TransportLayout.WriteIPLength(to, ip + 8 + payloadLength);
        BinaryPrimitives.WriteUInt16BigEndian(to[ip..], (ushort)from.Port);
        BinaryPrimitives.WriteUInt16BigEndian(to[(ip + 2)..], (ushort)dialled.Port);
        BinaryPrimitives.WriteUInt16BigEndian(to[(ip + 4)..], (ushort)(8 + payloadLength));
        return to.Length;
    }

    private static int Write4(ReadOnlySpan<byte> packet, IPAddress own, Span<byte> to, RefusalCause cause)
    {
        int header = (packet[0] & 15) * 4;
        // No answer to errors, to later fragments, to groups.
        bool isError = packet[9] == Icmp && packet.Length > header && packet[header] is not (8 or 13 or 15 or 17);
        if (header < TransportLayout.IPv4HeaderLength || isError || (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x1fff) != 0 || packet[16] >= 224) return 0;
        ReadOnlySpan<byte> quoted = packet[..Math.Min(packet.Length, QuotedOfIPv4)];
        int length = TransportLayout.IPv4HeaderLength + IcmpHeaderLength + quoted.Length;
        to = to[..length];
        to[..(length - quoted.Length)].Clear();
        to[0] = 0x45;
        to[8] = TimeToLive;
        to[9] = Icmp;
        own.TryWriteBytes(to[12..], out _);
        packet[12..16].CopyTo(to[16..]);
        TransportLayout.WriteIPLength(to, length);
        Span<byte> icmp = to[TransportLayout.IPv4HeaderLength..];
        (icmp[0], icmp[1]) = (3, cause == RefusalCause.NobodyThere ? (byte)3 : (byte)13);
        quoted.CopyTo(icmp[IcmpHeaderLength..]);
        InternetChecksum.Write(icmp[2..], InternetChecksum.Add(0, icmp));
        return length;
    }

    private static int Write6(ReadOnlySpan<byte> packet, IPAddress own, Span<byte> to, RefusalCause cause)
    {
        bool isError = packet[6] == Icmp6 && packet.Length > TransportLayout.IPv6HeaderLength && packet[TransportLayout.IPv6HeaderLength] < 128;
        if (isError || packet[24] == 0xff) return 0;
        ReadOnlySpan<byte> quoted = packet[..Math.Min(packet.Length, MaxLength - TransportLayout.IPv6HeaderLength - IcmpHeaderLength)];
        int length = TransportLayout.IPv6HeaderLength + IcmpHeaderLength + quoted.Length;
        to = to[..length];
        to[..(length - quoted.Length)].Clear();
        to[0] = 0x60;
        to[6] = Icmp6;
        to[7] = TimeToLive;
        own.TryWriteBytes(to[8..], out _);
        packet[8..24].CopyTo(to[24..]);
        TransportLayout.WriteIPLength(to, length);
        Span<byte> icmp = to[TransportLayout.IPv6HeaderLength..];
        (icmp[0], icmp[1]) = (1, cause == RefusalCause.NobodyThere ? (byte)4 : (byte)1);
        quoted.CopyTo(icmp[IcmpHeaderLength..]);
        InternetChecksum.Write(icmp[2..], InternetChecksum.Add(InternetChecksum.Pseudo(to[8..40], Icmp6, icmp.Length), icmp));
        return length;
    }
}
