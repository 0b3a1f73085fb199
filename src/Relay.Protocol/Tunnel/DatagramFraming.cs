using System.Buffers.Binary;

namespace Relay.Protocol.Tunnel;

/// <summary>
/// Datagrams on a duplex stream, either way: 2 bytes of length, big-endian, without themselves, then that many bytes. A length above
/// <see cref="MaxBytes"/> ends the stream: what follows it has no meaning.
/// </summary>
public static class DatagramFraming
{
    /// <summary>The longest payload that UDP has over IPv4: 65535 less 20 and 8 bytes of headers.</summary>
    public const int MaxBytes = 65_507;

    /// <summary>Bytes before each datagram.</summary>
    public const int HeaderBytes = 2;

    /// <summary>The longest datagram with its header.</summary>
    public const int MaxFrameBytes = HeaderBytes + MaxBytes;

    /// <summary>Writes one framed datagram.</summary>
    /// <param name="datagram">At most <see cref="MaxBytes"/> bytes; may be empty, and may already lie at its place in <paramref name="to"/>.</param>
    /// <param name="to">Where it goes.</param>
    /// <param name="written">Bytes written; 0 when false.</param>
    /// <returns>False: there is no room for it, or it is longer than datagrams are.</returns>
    public static bool TryWrite(ReadOnlySpan<byte> datagram, Span<byte> to, out int written)
    {
        written = 0;
        if (datagram.Length > MaxBytes || to.Length < HeaderBytes + datagram.Length)
            return false;
        BinaryPrimitives.WriteUInt16BigEndian(to, (ushort)datagram.Length);
        datagram.CopyTo(to[HeaderBytes..]);
        written = HeaderBytes + datagram.Length;
        return true;
    }
}
