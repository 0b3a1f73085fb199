using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// Where a peer's datagrams come from and go to, whitepaper §2.1: an outer address and port. An IPv4 address that an IPv6
/// socket shows as ::ffff:a.b.c.d is the IPv4 one. The default value is no endpoint.
/// </summary>
public readonly record struct WireGuardEndpoint
{
    private readonly UInt128 _address;
    private readonly uint _scope;
    private readonly ushort _port;
    private readonly AddressFamily _family;

    /// <summary>An endpoint by its parts.</summary>
    /// <param name="address">4 or 16 bytes, in network order.</param>
    /// <param name="port">1 to 65535.</param>
    /// <param name="scope">The interface of a link-local IPv6 address; otherwise 0.</param>
    /// <param name="path">The driver's own: which of its sockets or local addresses to use. Kept, compared and given back, never interpreted.</param>
    /// <exception cref="ArgumentException">The address is not 4 or 16 bytes.</exception>
    public WireGuardEndpoint(ReadOnlySpan<byte> address, ushort port, uint scope = 0, int path = 0)
    {
        if (address.Length is not (4 or 16)) throw new ArgumentException("An address is 4 or 16 bytes.", nameof(address));
        _port = port;
        Path = path;
        if (address.Length == 16 && !address.StartsWith(MappedPrefix))
        {
            _family = AddressFamily.InterNetworkV6;
            _address = BinaryPrimitives.ReadUInt128BigEndian(address);
            _scope = scope;
        }
        else
        {
            _family = AddressFamily.InterNetwork;
            _address = BinaryPrimitives.ReadUInt32BigEndian(address[^4..]);
        }
    }

    /// <summary>An endpoint by the framework's type.</summary>
    /// <exception cref="ArgumentException">The address is neither IPv4 nor IPv6.</exception>
    public WireGuardEndpoint(IPEndPoint endpoint, int path = 0)
        : this(endpoint.Address.GetAddressBytes(), (ushort)endpoint.Port, (uint)(endpoint.AddressFamily == AddressFamily.InterNetworkV6 ? endpoint.Address.ScopeId : 0), path)
    {
    }

    /// <summary>The driver's own number; 0 unless it gave one.</summary>
    public int Path { get; }

    /// <summary>The UDP port.</summary>
    public int Port => _port;

    /// <summary>The interface of a link-local IPv6 address; otherwise 0.</summary>
    public uint Scope => _scope;

    /// <summary>IPv4 or IPv6; <see cref="AddressFamily.Unspecified"/> means that there is no endpoint.</summary>
    public AddressFamily Family => _family;

    /// <summary>What a source is limited by: all of an IPv4 address, the first 64 bits of an IPv6 one, which is a single network's. Never 0.</summary>
    internal ulong RateKey
    {
        get
        {
            ulong key = (ulong)(_family == AddressFamily.InterNetworkV6 ? _address >> 64 : _address);
            return key == 0 ? ulong.MaxValue : key;
        }
    }

    private static ReadOnlySpan<byte> MappedPrefix => [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

    /// <summary>Writes the address, in network order.</summary>
    /// <param name="to">Room for 16 bytes.</param>
    /// <param name="mapped">True: an IPv4 address is written as ::ffff:a.b.c.d, for a socket of both families.</param>
    /// <returns>4 or 16, the bytes written; 0 without an endpoint.</returns>
    public int WriteAddress(Span<byte> to, bool mapped = false)
    {
        switch (_family)
        {
            case AddressFamily.InterNetworkV6:
                BinaryPrimitives.WriteUInt128BigEndian(to, _address);
                return 16;
            case AddressFamily.InterNetwork when mapped:
                BinaryPrimitives.WriteUInt128BigEndian(to, _address | ((UInt128)0xffff << 32));
                return 16;
            case AddressFamily.InterNetwork:
                BinaryPrimitives.WriteUInt32BigEndian(to, (uint)_address);
                return 4;
            default:
                return 0;
        }
    }

    /// <summary>The framework's type; null without an endpoint.</summary>
    public IPEndPoint? ToIPEndPoint()
    {
        Span<byte> address = stackalloc byte[16];
        int length = WriteAddress(address);
        if (length == 0) return null;
        return new IPEndPoint(length == 4 ? new IPAddress(address[..4]) : new IPAddress(address, _scope), _port);
    }

    /// <summary>Address and port; "none" without an endpoint.</summary>
    public override string ToString() => ToIPEndPoint()?.ToString() ?? "none";
}
