using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.Ssh;

/// <summary>
/// chacha20-poly1305@openssh.com. Two ChaCha20 instances: the second half of the key encrypts packet_length, the first
/// half makes the Poly1305 key (block 0) and encrypts the content (from block 1). The nonce is the sequence number; the
/// tag is over the encrypted length and content.
/// </summary>
internal sealed class ChaCha20Poly1305PacketCipher : SshPacketCipher
{
    /// <summary>K_2 (content), then K_1 (length), PROTOCOL.chacha20poly1305 "Detailed Construction".</summary>
    public const int KeyLength = 2 * StreamCipher.KeyLength;

    /// <summary>ChaCha20's block: the Poly1305 key is half of block 0, and the content starts with block 1.</summary>
    private const int BlockZero = 64;

    private static readonly byte[] Zeros = new byte[BlockZero];

    private readonly StreamCipher _content;
    private readonly StreamCipher _length;
    private readonly Poly1305 _poly = new();

    // Original ChaCha20: 64 bits of block counter (zero here), then 64 bits of nonce, which is the sequence number, big-endian.
    private readonly byte[] _iv = new byte[StreamCipher.IvLength];
    private readonly byte[] _block = new byte[BlockZero];

    public ChaCha20Poly1305PacketCipher(ReadOnlySpan<byte> key)
    {
        _content = StreamCipher.ChaCha20(key[..StreamCipher.KeyLength], _iv);
        _length = StreamCipher.ChaCha20(key[StreamCipher.KeyLength..], _iv);
    }

    public override int BlockSize => 8;

    public override int TagLength => Poly1305.TagLength;

    public override void Dispose()
    {
        _content.Dispose();
        _length.Dispose();
        _poly.Dispose();
        CryptographicOperations.ZeroMemory(_block);
    }

    protected override uint DecodeLength(uint sequence, ReadOnlySpan<byte> first4)
    {
        Span<byte> plain = stackalloc byte[LengthBytes];
        SetNonce(sequence);
        _length.Seek(_iv);
        _length.Apply(first4, plain);
        return BinaryPrimitives.ReadUInt32BigEndian(plain);
    }

    protected override bool OpenCore(uint sequence, Span<byte> packet, int length)
    {
        StartPacket(sequence);
        Span<byte> expected = stackalloc byte[Poly1305.TagLength];
        _poly.Compute(_block.AsSpan(0, Poly1305.KeyLength), packet[..(LengthBytes + length)], expected);
        if (!CryptographicOperations.FixedTimeEquals(expected, packet[(LengthBytes + length)..])) return false;
        Span<byte> content = packet.Slice(LengthBytes, length);
        _content.Apply(content, content);
        return true;
    }

    protected override void SealCore(uint sequence, Span<byte> packet, int length)
    {
        StartPacket(sequence);
        _length.Seek(_iv);
        _length.Apply(packet[..LengthBytes], packet[..LengthBytes]);
        Span<byte> content = packet.Slice(LengthBytes, length);
        _content.Apply(content, content);
        _poly.Compute(_block.AsSpan(0, Poly1305.KeyLength), packet[..(LengthBytes + length)], packet[(LengthBytes + length)..]);
    }

    // Takes block 0 whole, so that the content's keystream goes on with block 1 without setting the IV again.
    private void StartPacket(uint sequence)
    {
        SetNonce(sequence);
        _content.Seek(_iv);
        _content.Apply(Zeros, _block);
    }

    private void SetNonce(uint sequence) => BinaryPrimitives.WriteUInt64BigEndian(_iv.AsSpan(sizeof(ulong)), sequence);
}
