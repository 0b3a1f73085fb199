using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.Ssh;

/// <summary>
/// aes256-ctr with hmac-sha2-256-etm@openssh.com. packet_length is sent in plain; the MAC is over the sequence number,
/// the length and the encrypted content. The counter goes on from packet to packet (RFC 4344 §4).
/// </summary>
internal sealed class AesCtrEtmPacketCipher : SshPacketCipher
{
    public const int IvLength = StreamCipher.IvLength, MacKeyLength = SHA256.HashSizeInBytes;

    private readonly StreamCipher _cipher;
    private readonly IncrementalHash _mac;

    public AesCtrEtmPacketCipher(ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv, ReadOnlySpan<byte> macKey)
    {
        _cipher = StreamCipher.Aes256Ctr(key, iv);
        _mac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, macKey);
    }

    public override int BlockSize => 16;

    public override int TagLength => SHA256.HashSizeInBytes;

    public override void Dispose()
    {
        _cipher.Dispose();
        _mac.Dispose();
    }

    protected override bool OpenCore(uint sequence, Span<byte> packet, int length)
    {
        Span<byte> expected = stackalloc byte[SHA256.HashSizeInBytes];
        ComputeTag(sequence, packet[..(LengthBytes + length)], expected);
        if (!CryptographicOperations.FixedTimeEquals(expected, packet[(LengthBytes + length)..])) return false;
        Span<byte> content = packet.Slice(LengthBytes, length);
        _cipher.Apply(content, content);
        return true;
    }

    protected override void SealCore(uint sequence, Span<byte> packet, int length)
    {
        Span<byte> content = packet.Slice(LengthBytes, length);
        _cipher.Apply(content, content);
        ComputeTag(sequence, packet[..(LengthBytes + length)], packet[(LengthBytes + length)..]);
    }

    private void ComputeTag(uint sequence, ReadOnlySpan<byte> data, Span<byte> tag)
    {
        Span<byte> number = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(number, sequence);
        _mac.AppendData(number);
        _mac.AppendData(data);
        _mac.GetHashAndReset(tag);
    }
}
