using System.Buffers.Binary;
using System.Net;
using Relay.Gateway.WireGuard.Resolver;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>What becomes of a packet that a device sends.</summary>
internal enum InnerVerdict
{
    /// <summary>Not answered: to another device, to a group.</summary>
    Drop = 0,

    /// <summary>Answered with "administratively prohibited".</summary>
    Refuse,

    /// <summary>TCP, UDP, or an error about them, to a resource, or a question to the resolver: the kernel's.</summary>
    Pass,
}

/// <summary>
/// SECURITY: the kernel sees only what goes to a resource's address or to the resolver, whatever its own routes and services are. The nft table
/// says the same once more. Safe for concurrent use.
/// </summary>
internal sealed class InnerFilter
{
    private const byte HopByHop = 0, Icmp = 1, Tcp = 6, Udp = 17, Fragment = 44, Icmp6 = 58, Options = 60;

    private readonly UInt128 _own4, _own6;
    private readonly Prefix _devices4, _devices6, _resources4, _resources6;

    /// <param name="devices">At most one range of each family.</param>
    /// <param name="resources">Likewise.</param>
    /// <param name="own">The gateway's own addresses, likewise: the resolver's.</param>
    public InnerFilter(IReadOnlyList<IPNetwork> devices, IReadOnlyList<IPNetwork> resources, IReadOnlyList<IPAddress> own)
    {
        foreach (var address in own)
        {
            var bytes = address.GetAddressBytes();
            if (bytes.Length == 4) _own4 = BinaryPrimitives.ReadUInt32BigEndian(bytes);
            else _own6 = BinaryPrimitives.ReadUInt128BigEndian(bytes);
        }

        (_devices4, _devices6) = (Prefix.Of(devices, 4), Prefix.Of(devices, 16));
        (_resources4, _resources6) = (Prefix.Of(resources, 4), Prefix.Of(resources, 16));
    }

    /// <param name="packet">IPv4 or IPv6, as the tunnel delivers it: at least a header.</param>
    public InnerVerdict Judge(ReadOnlySpan<byte> packet)
    {
        if (packet[0] >> 4 == 6)
        {
            UInt128 to = BinaryPrimitives.ReadUInt128BigEndian(packet[24..]);
            if (_resources6.Contains(to)) return IsFlow6(packet) ? InnerVerdict.Pass : InnerVerdict.Refuse;
            if (to == _own6 && to != 0) return IsQuestion6(packet) ? InnerVerdict.Pass : InnerVerdict.Refuse;
            return _devices6.Contains(to) || packet[24] == 0xff ? InnerVerdict.Drop : InnerVerdict.Refuse;
        }

        UInt128 to4 = BinaryPrimitives.ReadUInt32BigEndian(packet[16..]);
        if (_resources4.Contains(to4)) return IsFlow4(packet) ? InnerVerdict.Pass : InnerVerdict.Refuse;
        if (to4 == _own4 && to4 != 0) return IsQuestion4(packet) ? InnerVerdict.Pass : InnerVerdict.Refuse;
        return _devices4.Contains(to4) || packet[16] >= 224 ? InnerVerdict.Drop : InnerVerdict.Refuse;
    }

    private static bool IsFlow4(ReadOnlySpan<byte> packet) => packet[9] switch
    {
        Tcp or Udp => true,
        // Destination unreachable (also "too long"), time exceeded, parameter problem.
        Icmp => (packet[0] & 15) * 4 is var at && packet.Length > at && packet[at] is 3 or 11 or 12,
        _ => false,
    };

    private static bool IsFlow6(ReadOnlySpan<byte> packet) => packet[6] switch
    {
        Tcp or Udp or HopByHop or Fragment or Options => true,
        Icmp6 => packet.Length > TransportLayout.IPv6HeaderLength && packet[TransportLayout.IPv6HeaderLength] is >= 1 and <= 4,
        _ => false,
    };

    // Whole, and with its port in it: what is in pieces is no question.
    private static bool IsQuestion4(ReadOnlySpan<byte> packet) =>
        packet[9] is Tcp or Udp && (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & 0x3fff) == 0 && IsResolverPort(packet, (packet[0] & 15) * 4);

    private static bool IsQuestion6(ReadOnlySpan<byte> packet) => packet[6] is Tcp or Udp && IsResolverPort(packet, TransportLayout.IPv6HeaderLength);

    private static bool IsResolverPort(ReadOnlySpan<byte> packet, int at) =>
        packet.Length >= at + 4 && BinaryPrimitives.ReadUInt16BigEndian(packet[(at + 2)..]) == ResolverOptions.Port;

    private readonly record struct Prefix(UInt128 Address, UInt128 Mask)
    {
        public static Prefix Of(IReadOnlyList<IPNetwork> ranges, int addressLength)
        {
            foreach (var range in ranges)
            {
                var bytes = range.BaseAddress.GetAddressBytes();
                if (bytes.Length != addressLength) continue;
                int free = (addressLength * 8) - range.PrefixLength;
                UInt128 mask = free == 128 ? 0 : UInt128.MaxValue << free;
                UInt128 address = addressLength == 4 ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt128BigEndian(bytes);
                return new Prefix(address & mask, mask);
            }

            // Contains nothing: no address has bits where the mask has none.
            return new Prefix(UInt128.MaxValue, 0);
        }

        public bool Contains(UInt128 address) => (address & Mask) == Address;
    }
}
