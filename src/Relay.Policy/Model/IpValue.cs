using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Relay.Policy;

/// <summary>An address of one family; an IPv4-mapped IPv6 address is IPv4. Immutable.</summary>
/// <param name="IsV4">IPv4: <paramref name="Bits"/> holds 32 bits, else 128.</param>
internal readonly record struct IpValue(bool IsV4, UInt128 Bits)
{
    public int Width => IsV4 ? 32 : 128;

    public static IpValue From(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (!address.TryWriteBytes(bytes, out var written))
            return default;
        if (written == 4)
            return new IpValue(true, BinaryPrimitives.ReadUInt32BigEndian(bytes));
        return address.IsIPv4MappedToIPv6
            ? new IpValue(true, BinaryPrimitives.ReadUInt32BigEndian(bytes[12..]))
            : new IpValue(false, BinaryPrimitives.ReadUInt128BigEndian(bytes));
    }

    /// <summary>
    /// Reads a literal in its usual form. False: not an address, or a form that software reads differently
    /// ("010.1.1.1", "10.1", "0x7f000001", a zone after '%').
    /// </summary>
    public static bool TryParse(ReadOnlySpan<char> text, out IpValue value)
    {
        value = default;
        if (text.Length is 0 or > 45 || text.ContainsAny('%', '[', ']') || !IPAddress.TryParse(text, out var address))
            return false;
        Span<char> canonical = stackalloc char[64];
        if (address.AddressFamily == AddressFamily.InterNetwork
            && !(address.TryFormat(canonical, out var length) && text.SequenceEqual(canonical[..length])))
            return false;
        value = From(address);
        return true;
    }

    public override string ToString()
    {
        if (IsV4)
            return new IPAddress(BinaryPrimitives.ReverseEndianness((uint)Bits) & 0xFFFF_FFFFL).ToString();
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, Bits);
        return new IPAddress(bytes).ToString();
    }
}
