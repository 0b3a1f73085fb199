using System.Buffers.Binary;
using System.Net;

namespace Relay.Protocol.WireGuard;

/// <summary>An address inside the tunnel, with its bits from the top of a number: an IPv4 address takes the first 32.</summary>
/// <param name="High">Bits 0 to 63.</param>
/// <param name="Low">Bits 64 to 127; 0 for IPv4.</param>
/// <param name="IsIPv6">Which of the two.</param>
internal readonly record struct InnerAddress(ulong High, ulong Low, bool IsIPv6)
{
    /// <summary>The address in 4 or 16 bytes of network order.</summary>
    public static InnerAddress Read(ReadOnlySpan<byte> bytes) => bytes.Length == 4
        ? new InnerAddress((ulong)BinaryPrimitives.ReadUInt32BigEndian(bytes) << 32, 0, false)
        : new InnerAddress(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]), true);

    /// <summary>The framework's type.</summary>
    public static InnerAddress From(IPAddress address)
    {
        Span<byte> bytes = stackalloc byte[16];
        if (!address.TryWriteBytes(bytes, out int written)) throw new ArgumentException("The address is neither IPv4 nor IPv6.", nameof(address));
        return Read(bytes[..written]);
    }
}

/// <summary>A prefix of allowed IPs.</summary>
/// <param name="Address">Its bits; those beyond the length are zero.</param>
/// <param name="Length">0 to 32 or 128, in bits.</param>
internal readonly record struct InnerPrefix(InnerAddress Address, int Length)
{
    /// <summary>The framework's type, which has no bits beyond its length.</summary>
    public static InnerPrefix From(IPNetwork network) => new(InnerAddress.From(network.BaseAddress), network.PrefixLength);

    /// <summary>The framework's type.</summary>
    public IPNetwork ToIPNetwork()
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, Address.High);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], Address.Low);
        return new IPNetwork(new IPAddress(Address.IsIPv6 ? bytes : bytes[..4]), Length);
    }
}
