using System.Runtime.InteropServices;

namespace Relay.Gateway.WireGuard.Native;

/// <summary>Socket options and ancillary messages of Linux, by their names in its headers.</summary>
internal static class SocketOptions
{
    public const int SOL_IP = 0, SOL_SOCKET = 1, SOL_UDP = 17, SOL_IPV6 = 41;

    public const int SO_REUSEADDR = 2, SO_SNDBUF = 7, SO_RCVBUF = 8, SO_REUSEPORT = 15, SO_RCVTIMEO = 20, SO_SNDBUFFORCE = 32, SO_RCVBUFFORCE = 33;

    public const int IP_PKTINFO = 8, IP_MTU_DISCOVER = 10, IP_TRANSPARENT = 19, IP_RECVORIGDSTADDR = 20;

    public const int IPV6_MTU_DISCOVER = 23, IPV6_RECVPKTINFO = 49, IPV6_PKTINFO = 50, IPV6_RECVORIGDSTADDR = 74, IPV6_TRANSPARENT = 75;

    public const int UDP_SEGMENT = 103, UDP_GRO = 104;
}

/// <summary>Walks the ancillary messages of one received message, cmsg(3): a header of 16 bytes, the data, padding to 8.</summary>
internal ref struct ControlReader(ReadOnlySpan<byte> control)
{
    private const int HeaderLength = 16;
    private ReadOnlySpan<byte> _rest = control;

    public int Level { get; private set; }

    public int Type { get; private set; }

    public ReadOnlySpan<byte> Data { get; private set; }

    public bool MoveNext()
    {
        if (_rest.Length < HeaderLength) return false;
        var length = (int)Math.Min(MemoryMarshal.Read<ulong>(_rest), (ulong)_rest.Length);
        if (length < HeaderLength) return false;
        Level = MemoryMarshal.Read<int>(_rest[8..]);
        Type = MemoryMarshal.Read<int>(_rest[12..]);
        Data = _rest[HeaderLength..length];
        _rest = _rest[Math.Min((length + 7) & ~7, _rest.Length)..];
        return true;
    }
}

/// <summary>Writes ancillary messages one after the other.</summary>
internal ref struct ControlWriter(Span<byte> control)
{
    private const int HeaderLength = 16;
    private readonly Span<byte> _control = control;

    /// <summary>Bytes written, as msg_controllen wants them.</summary>
    public int Length { get; private set; }

    /// <summary>Adds one and gives its data, zeroed, to be filled in.</summary>
    public Span<byte> Add(int level, int type, int dataLength)
    {
        Span<byte> at = _control[Length..];
        MemoryMarshal.Write(at, (ulong)(HeaderLength + dataLength));
        MemoryMarshal.Write(at[8..], level);
        MemoryMarshal.Write(at[12..], type);
        int space = HeaderLength + ((dataLength + 7) & ~7);
        at[HeaderLength..space].Clear();
        Length += space;
        return at.Slice(HeaderLength, dataLength);
    }
}
