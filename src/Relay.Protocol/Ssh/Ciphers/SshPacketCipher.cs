using System.Buffers.Binary;

namespace Relay.Protocol.Ssh;

// What: sealing and opening SSH binary packets.
// References: RFC 4253 §6; RFC 5647 and OpenSSH PROTOCOL §1.6 (AES-GCM); PROTOCOL.chacha20poly1305; RFC 4344 §4 (CTR)
//   with OpenSSH PROTOCOL §1.5 (encrypt-then-MAC).
// Parameters: a packet is uint32 packet_length, then packet_length bytes (padding_length, payload, padding), then the
//   tag. All four suites leave packet_length out of the block alignment.
// Failure: a length or a tag that is wrong is "false"; the connection must then end, the cipher's state is of no use.

/// <summary>
/// One direction of one key epoch. Nothing is allocated per packet. Not thread-safe. Caller disposes, which wipes the keys.
/// </summary>
internal abstract class SshPacketCipher : IDisposable
{
    /// <summary>packet_length's own bytes.</summary>
    public const int LengthBytes = sizeof(uint);

    /// <summary>Largest packet_length taken from a peer: OpenSSH's own limit (PACKET_MAX_SIZE).</summary>
    public const int MaximumPacketLength = 256 * 1024;

    /// <summary>The suite's names for KEXINIT, as they are to be offered: AES-GCM first (L3).</summary>
    public static IReadOnlyList<string> Names { get; } = [SshCipherNames.Aes128Gcm, SshCipherNames.Aes256Gcm, SshCipherNames.ChaCha20Poly1305, SshCipherNames.Aes256Ctr];

    /// <summary>packet_length is a multiple of this many bytes; at least 8.</summary>
    public abstract int BlockSize { get; }

    /// <summary>Bytes of tag after the packet.</summary>
    public abstract int TagLength { get; }

    /// <summary>
    /// Key material of a suite; false for a name that is not known, or a MAC that does not go with it. The MAC's name
    /// is ignored with the AEAD suites (OpenSSH PROTOCOL §1.6), so null will do for them.
    /// </summary>
    public static bool TryGetLengths(string cipher, string? mac, out SshCipherLengths lengths)
    {
        SshCipherLengths? found = cipher switch
        {
            SshCipherNames.Aes128Gcm => new(16, AesGcmPacketCipher.IvLength, 0),
            SshCipherNames.Aes256Gcm => new(32, AesGcmPacketCipher.IvLength, 0),
            SshCipherNames.ChaCha20Poly1305 => new(ChaCha20Poly1305PacketCipher.KeyLength, 0, 0),
            SshCipherNames.Aes256Ctr when mac == SshCipherNames.HmacSha256Etm => new(32, AesCtrEtmPacketCipher.IvLength, AesCtrEtmPacketCipher.MacKeyLength),
            _ => null,
        };
        lengths = found.GetValueOrDefault();
        return found is not null;
    }

    /// <summary>
    /// A cipher of the suite. The keys are copied into libcrypto; the caller wipes its own. <paramref name="seal"/>
    /// chooses the direction: true for sending.
    /// </summary>
    /// <exception cref="ArgumentException">The suite is not known, or a length is not what <see cref="TryGetLengths"/> says.</exception>
    public static SshPacketCipher Create(string cipher, string? mac, ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv, ReadOnlySpan<byte> macKey, bool seal)
    {
        if (!TryGetLengths(cipher, mac, out SshCipherLengths lengths)) throw new ArgumentException($"Unknown cipher {cipher} with {mac}.", nameof(cipher));
        if (key.Length != lengths.KeyBytes || iv.Length != lengths.IvBytes || macKey.Length != lengths.MacKeyBytes)
            throw new ArgumentException($"{cipher} takes {lengths}.", nameof(key));
        return cipher switch
        {
            SshCipherNames.ChaCha20Poly1305 => new ChaCha20Poly1305PacketCipher(key),
            SshCipherNames.Aes256Ctr => new AesCtrEtmPacketCipher(key, iv, macKey),
            _ => new AesGcmPacketCipher(key, iv, seal),
        };
    }

    /// <summary>
    /// Reads packet_length from the first four bytes of a packet without changing any state, so it may be asked again.
    /// False when the length is none that <see cref="Open"/> could take: not a multiple of <see cref="BlockSize"/>,
    /// zero, or over <see cref="MaximumPacketLength"/>; end the connection then. The length is not yet authentic
    /// either way: use it to wait for the packet, nothing else.
    /// </summary>
    /// <param name="sequence">The packet's sequence number.</param>
    /// <param name="first4">The first four bytes as they came.</param>
    /// <param name="packetLength">The length, also when it is refused.</param>
    public bool TryReadLength(uint sequence, ReadOnlySpan<byte> first4, out uint packetLength)
    {
        packetLength = DecodeLength(sequence, first4[..LengthBytes]);
        // Compared as it came, before anything is added or subtracted (L14).
        return packetLength is > 0 and <= MaximumPacketLength && packetLength % (uint)BlockSize == 0;
    }

    /// <summary>
    /// Checks and decrypts a packet in place: 4 bytes of length, the content, the tag. True: the content (behind the
    /// four bytes, before the tag) is plaintext. False: the tag is wrong or the size is none that a packet has, and
    /// nothing in the buffer may be used.
    /// </summary>
    public bool Open(uint sequence, Span<byte> packet)
    {
        if (packet.Length < LengthBytes + BlockSize + TagLength) return false;
        int length = packet.Length - LengthBytes - TagLength;
        return TryReadLength(sequence, packet, out uint stated) && stated == (uint)length && OpenCore(sequence, packet, length);
    }

    /// <summary>
    /// Encrypts a packet in place: 4 bytes of length in plain, the content, and room for the tag.
    /// </summary>
    /// <exception cref="ArgumentException">The length in the packet is not that of its content, or not a multiple of <see cref="BlockSize"/>.</exception>
    public void Seal(uint sequence, Span<byte> packet)
    {
        int length = packet.Length - LengthBytes - TagLength;
        if (length <= 0 || length % BlockSize != 0 || BinaryPrimitives.ReadUInt32BigEndian(packet) != (uint)length)
            throw new ArgumentException("The packet's length does not fit its content.", nameof(packet));
        SealCore(sequence, packet, length);
    }

    /// <summary>Wipes the keys.</summary>
    public abstract void Dispose();

    /// <summary>The four bytes as a number; they are plain in all suites but chacha20-poly1305.</summary>
    protected virtual uint DecodeLength(uint sequence, ReadOnlySpan<byte> first4) => BinaryPrimitives.ReadUInt32BigEndian(first4);

    /// <summary>Opens a packet whose size has been checked.</summary>
    protected abstract bool OpenCore(uint sequence, Span<byte> packet, int length);

    /// <summary>Seals a packet whose size has been checked.</summary>
    protected abstract void SealCore(uint sequence, Span<byte> packet, int length);
}
