using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>
/// aes128-gcm@openssh.com and aes256-gcm@openssh.com. The nonce is 4 fixed bytes and a 64-bit invocation counter, both
/// from the initial IV; the counter goes up by one with every packet (RFC 5647 §7.1). packet_length is sent in plain
/// and authenticated (§7.3).
/// </summary>
internal sealed class AesGcmPacketCipher : SshPacketCipher
{
    public const int IvLength = 12;

    private const int Tag = 16, Block = 16, CounterOffset = 4;

    private readonly AesGcm _aes;
    private readonly byte[] _nonce;

    public AesGcmPacketCipher(ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv)
    {
        _aes = new AesGcm(key, Tag);
        _nonce = iv.ToArray();
    }

    public override int BlockSize => Block;

    public override int TagLength => Tag;

    public override void Dispose() => _aes.Dispose();

    protected override bool OpenCore(uint sequence, Span<byte> packet, int length)
    {
        Span<byte> content = packet.Slice(LengthBytes, length);
        try
        {
            _aes.Decrypt(_nonce, content, packet[(LengthBytes + length)..], content, packet[..LengthBytes]);
        }
        catch (AuthenticationTagMismatchException)
        {
            // Happens once per connection: the caller ends it.
            return false;
        }

        Advance();
        return true;
    }

    protected override void SealCore(uint sequence, Span<byte> packet, int length)
    {
        Span<byte> content = packet.Slice(LengthBytes, length);
        _aes.Encrypt(_nonce, content, content, packet[(LengthBytes + length)..], packet[..LengthBytes]);
        Advance();
    }

    // RFC 5647 §7.1: the counter wraps; rekeying comes long before it has gone round.
    private void Advance()
    {
        Span<byte> counter = _nonce.AsSpan(CounterOffset);
        BinaryPrimitives.WriteUInt64BigEndian(counter, unchecked(BinaryPrimitives.ReadUInt64BigEndian(counter) + 1));
    }
}
