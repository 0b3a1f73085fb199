using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Native;

/// <summary>struct sockaddr_in and sockaddr_in6: family (own byte order), port (network order), address.</summary>
internal static class SocketAddressBytes
{
    /// <summary>Length of the longer one, sockaddr_in6.</summary>
    public const int MaxLength = 28;

    private const int Length4 = 16;
    private const int AddressAt4 = 4, AddressAt6 = 8, ScopeAt6 = 24;
    private const ushort AF_INET = 2, AF_INET6 = 10;

    /// <summary>Reads one of either family; false for another.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> address, out ushort port, out uint scope)
    {
        address = default;
        (port, scope) = (0, 0);
        if (bytes.Length < Length4) return false;
        port = BinaryPrimitives.ReadUInt16BigEndian(bytes[2..]);
        switch (MemoryMarshal.Read<ushort>(bytes))
        {
            case AF_INET:
                address = bytes.Slice(AddressAt4, 4);
                return true;
            case AF_INET6 when bytes.Length >= MaxLength:
                address = bytes.Slice(AddressAt6, 16);
                scope = MemoryMarshal.Read<uint>(bytes[ScopeAt6..]);
                return true;
            default:
                return false;
        }
    }

    /// <summary>As <see cref="TryRead"/>, as the framework's type. An IPv4 address in IPv6 form becomes an IPv4 one.</summary>
    public static IPEndPoint? ToEndPoint(ReadOnlySpan<byte> bytes)
    {
        if (!TryRead(bytes, out var address, out var port, out var scope)) return null;
        var ip = address.Length == 4 ? new IPAddress(address) : new IPAddress(address, scope);
        return new IPEndPoint(ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip, port);
    }

    /// <summary>Writes an outer endpoint for a socket of IPv4, or of IPv6 that serves both.</summary>
    /// <returns>Bytes written; 0 when the socket can not reach it.</returns>
    public static int Write(in WireGuardEndpoint endpoint, Span<byte> to, bool isIPv6Socket)
    {
        to[..MaxLength].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(to[2..], (ushort)endpoint.Port);
        if (!isIPv6Socket)
        {
            MemoryMarshal.Write(to, AF_INET);
            Span<byte> address = stackalloc byte[16];
            if (endpoint.WriteAddress(address) != 4) return 0;
            address[..4].CopyTo(to[AddressAt4..]);
            return Length4;
        }

        MemoryMarshal.Write(to, AF_INET6);
        MemoryMarshal.Write(to[ScopeAt6..], endpoint.Scope);
        return endpoint.WriteAddress(to[AddressAt6..], mapped: true) == 0 ? 0 : MaxLength;
    }
}
