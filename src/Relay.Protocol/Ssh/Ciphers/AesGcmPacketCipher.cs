using System.Buffers.Binary;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.Ssh;

/// <summary>
/// aes128-gcm@openssh.com and aes256-gcm@openssh.com. The nonce is 4 fixed bytes and a 64-bit invocation counter, both
/// from the initial IV; the counter goes up by one with every packet (RFC 5647 §7.1). packet_length is sent in plain
/// and authenticated (§7.3).
/// </summary>
internal sealed class AesGcmPacketCipher : SshPacketCipher
{
    public const int IvLength = 12;

    private const int Block = 16, CounterOffset = 4;

    private readonly AesGcmContext _aes;
    private readonly byte[] _nonce;

    public AesGcmPacketCipher(ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv, bool seal)
    {
        _aes = new AesGcmContext(key, seal);
        _nonce = iv.ToArray();
    }

    public override int BlockSize => Block;

    public override int TagLength => AesGcmContext.TagLength;

    public override void Dispose() => _aes.Dispose();

    protected override bool OpenCore(uint sequence, Span<byte> packet, int length)
    {
        bool opened = _aes.TryDecrypt(_nonce, packet[..LengthBytes], packet.Slice(LengthBytes, length), packet[(LengthBytes + length)..]);
        Advance();
        return opened;
    }

    protected override void SealCore(uint sequence, Span<byte> packet, int length)
    {
        _aes.Encrypt(_nonce, packet[..LengthBytes], packet.Slice(LengthBytes, length), packet[(LengthBytes + length)..]);
        Advance();
    }

    // RFC 5647 §7.1: the counter wraps; rekeying comes long before it has gone round.
    private void Advance()
    {
        Span<byte> counter = _nonce.AsSpan(CounterOffset);
        BinaryPrimitives.WriteUInt64BigEndian(counter, unchecked(BinaryPrimitives.ReadUInt64BigEndian(counter) + 1));
    }
}
