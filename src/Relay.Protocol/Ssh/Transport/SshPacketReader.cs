using System.Buffers.Binary;

namespace Relay.Protocol.Ssh;

/// <summary>
/// Inbound half of the binary packet protocol, RFC 4253 §6: framing, sequence numbers, decryption in place.
/// Not thread-safe.
/// </summary>
internal sealed class SshPacketReader : IDisposable
{
    private const int PlainBlock = 8;
    private SshPacketCipher? _cipher;
    private uint _sequence;

    /// <summary>Sequence number of the next packet.</summary>
    public uint Sequence => _sequence;

    /// <summary>Packets since the connection began. 64 bits (L13).</summary>
    public ulong TotalPackets { get; private set; }

    /// <summary>Packets under the current key.</summary>
    public ulong Packets { get; private set; }

    /// <summary>Bytes on the wire under the current key.</summary>
    public ulong Bytes { get; private set; }

    /// <summary>Largest packet_length accepted.</summary>
    public int MaximumPacketLength { get; set; } = SshLimits.MaximumPacketLengthBeforeAuth;

    /// <summary>
    /// Takes one packet from the front of <paramref name="input"/>. False: <paramref name="needed"/> bytes are wanted in
    /// all, nothing was consumed. True: <c>input[payloadStart..(payloadStart+payloadLength)]</c> is the payload, at least
    /// one byte, valid as long as the caller keeps the buffer.
    /// </summary>
    /// <exception cref="SshException">Length or padding out of bounds (PROTOCOL_ERROR), wrong tag (MAC_ERROR).</exception>
    public bool TryRead(Span<byte> input, out int consumed, out int payloadStart, out int payloadLength, out int needed)
    {
        consumed = payloadStart = payloadLength = 0;
        needed = 4;
        if (input.Length < 4)
            return false;
        var length = ReadLength(input[..4]);
        var total = 4 + length + (_cipher?.TagLength ?? 0);
        needed = total;
        if (input.Length < total)
            return false;

        var packet = input[..total];
        if (_cipher is not null && !_cipher.Open(_sequence, packet))
            throw new SshException(SshDisconnectReason.MacError, "A packet's authentication tag is wrong.");
        var padding = packet[4];
        // RFC 4253 §6: at least four bytes of padding. Compare before subtracting (L14).
        if (padding < 4 || padding + 2 > length)
            throw SshException.Protocol("A packet's padding length is out of bounds.");
        consumed = total;
        payloadStart = 5;
        payloadLength = length - 1 - padding;
        _sequence = unchecked(_sequence + 1);
        Packets++;
        TotalPackets++;
        Bytes += (ulong)total;
        return true;
    }

    /// <summary>Takes the next key into use, after the peer's NEWKEYS. Owns the cipher.</summary>
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

    public void Dispose() => _cipher?.Dispose();

    private int ReadLength(ReadOnlySpan<byte> first4)
    {
        uint length;
        int block;
        if (_cipher is null)
        {
            length = BinaryPrimitives.ReadUInt32BigEndian(first4);
            block = PlainBlock;
        }
        else
        {
            if (!_cipher.TryReadLength(_sequence, first4, out length))
                throw SshException.Protocol("A packet's length is out of bounds.");
            block = _cipher.BlockSize;
        }

        // SECURITY: bounds before any arithmetic or allocation (L14, L16). 1 padding length + 1 payload + 4 padding.
        if (length < 6 || length > (uint)MaximumPacketLength)
            throw SshException.Protocol("A packet's length is out of bounds.");
        // RFC 4253 §6: length, padding length, payload and padding together are a multiple of the block; with an AEAD
        // (RFC 5647 §7.2) or encrypt-then-MAC the length field is outside.
        var aligned = _cipher is null ? length + 4 : length;
        if (aligned % (uint)block != 0)
            throw SshException.Protocol("A packet's length is no multiple of the cipher's block.");
        return (int)length;
    }
}
