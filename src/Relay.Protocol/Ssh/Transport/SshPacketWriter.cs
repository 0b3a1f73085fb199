using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics;
using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>
/// Outbound half of the binary packet protocol, RFC 4253 §6: packets are built and sealed in place in one pooled buffer
/// that the driver takes as a whole. Not thread-safe.
/// </summary>
internal sealed class SshPacketWriter : IDisposable
{
    private const int FirstBuffer = 4 * 1024;

    // Who sends more than this sends much: room for all that may be pending, instead of growing to it copy by copy.
    private const int SmallBuffer = 16 * 1024;
    private const int LargeBuffer = SshLimits.OutputHighWater + 2 * SshLimits.MaximumChannelData;
    private const int PlainBlock = 8;
    private readonly byte[] _random = new byte[256];
    private SshPacketCipher? _cipher;
    private byte[] _buffer = [];
    private int _length;
    private int _start;
    private int _packetLength;
    private int _randomUsed = 256;
    private uint _sequence;

    /// <summary>Sequence number of the next packet.</summary>
    public uint Sequence => _sequence;

    /// <summary>Packets under the current key.</summary>
    public ulong Packets { get; private set; }

    /// <summary>Bytes on the wire under the current key.</summary>
    public ulong Bytes { get; private set; }

    /// <summary>Bytes ready to be sent.</summary>
    public int Pending => _length;

    /// <summary>Appends bytes that are no packet: the identification string.</summary>
    public void WriteRaw(ReadOnlySpan<byte> bytes)
    {
        Reserve(bytes.Length);
        bytes.CopyTo(_buffer.AsSpan(_length));
        _length += bytes.Length;
    }

    /// <summary>
    /// Begins a packet and returns the place for its payload, to be filled completely before <see cref="Commit"/>.
    /// </summary>
    public Span<byte> Begin(int payloadLength)
    {
        // RFC 4253 §6: padding of 4..255 bytes up to the block; at least 16 bytes in all.
        var block = _cipher?.BlockSize ?? PlainBlock;
        var unpadded = (_cipher is null ? 5 : 1) + payloadLength;
        var padding = block - (unpadded % block);
        if (padding < 4)
            padding += block;
        _packetLength = 1 + payloadLength + padding;
        if (_packetLength < 12)
        {
            padding += block;
            _packetLength += block;
        }

        Reserve(4 + _packetLength + (_cipher?.TagLength ?? 0));
        _start = _length;
        BinaryPrimitives.WriteInt32BigEndian(_buffer.AsSpan(_start), _packetLength);
        _buffer[_start + 4] = (byte)padding;
        Pad(_buffer.AsSpan(_start + 5 + payloadLength, padding));
        return _buffer.AsSpan(_start + 5, payloadLength);
    }

    /// <summary>Seals the packet that was begun.</summary>
    public void Commit()
    {
        var total = 4 + _packetLength + (_cipher?.TagLength ?? 0);
        _cipher?.Seal(_sequence, _buffer.AsSpan(_start, total));
        _length = _start + total;
        _sequence = unchecked(_sequence + 1);
        Packets++;
        Bytes += (ulong)total;
    }

    /// <summary>Writes one packet.</summary>
    public void Write(ReadOnlySpan<byte> payload)
    {
        payload.CopyTo(Begin(payload.Length));
        Commit();
    }

    /// <summary>Takes the next key into use, after this side's NEWKEYS. Owns the cipher.</summary>
    /// <param name="cipher">Cipher of the new epoch.</param>
    /// <param name="resetSequence">Strict key exchange: the number starts again at zero (L3).</param>
    public void Rekey(SshPacketCipher cipher, bool resetSequence)
    {
        _cipher?.Dispose();
        _cipher = cipher;
        Packets = 0;
        Bytes = 0;
        if (resetSequence)
            _sequence = 0;
    }

    /// <summary>Hands all pending bytes out; the caller gives the array back to <see cref="ArrayPool{T}.Shared"/>.</summary>
    public ArraySegment<byte> Take()
    {
        Debug.Assert(_length > 0);
        var taken = new ArraySegment<byte>(_buffer, 0, _length);
        _buffer = [];
        _length = 0;
        return taken;
    }

    public void Dispose()
    {
        _cipher?.Dispose();
        _cipher = null;
        if (_buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
        _length = 0;
    }

    private void Reserve(int more)
    {
        var wanted = _length + more;
        if (_buffer.Length >= wanted)
            return;
        var least = wanted > SmallBuffer ? LargeBuffer : FirstBuffer;
        var grown = ArrayPool<byte>.Shared.Rent(Math.Max(wanted, Math.Max(least, _buffer.Length * 2)));
        _buffer.AsSpan(0, _length).CopyTo(grown);
        if (_buffer.Length > 0)
            ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = grown;
    }

    // RFC 4253 §6: padding should be random. One call to the generator for many packets.
    private void Pad(Span<byte> padding)
    {
        if (_cipher is null)
        {
            padding.Clear();
            return;
        }

        if (_randomUsed + padding.Length > _random.Length)
        {
            RandomNumberGenerator.Fill(_random);
            _randomUsed = 0;
        }

        _random.AsSpan(_randomUsed, padding.Length).CopyTo(padding);
        _randomUsed += padding.Length;
    }
}
