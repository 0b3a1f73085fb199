using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ciphers;

/// <summary>Both ends of one direction, under keys that are the same in every pair.</summary>
internal sealed class CipherPair : IDisposable
{
    private readonly string _cipher;

    public CipherPair(string cipher)
    {
        _cipher = cipher;
        string? mac = cipher == "aes256-ctr" ? "hmac-sha2-256-etm@openssh.com" : null;
        Assert.True(SshPacketCipher.TryGetLengths(cipher, mac, out SshCipherLengths lengths));
        Key = Material(1, lengths.KeyBytes);
        Iv = Material(2, lengths.IvBytes);
        MacKey = Material(3, lengths.MacKeyBytes);
        Seal = SshPacketCipher.Create(cipher, mac, Key, Iv, MacKey, seal: true);
        Open = SshPacketCipher.Create(cipher, mac, Key, Iv, MacKey, seal: false);
    }

    public byte[] Key { get; }

    public byte[] Iv { get; }

    public byte[] MacKey { get; }

    public SshPacketCipher Seal { get; }

    public SshPacketCipher Open { get; }

    /// <summary>A packet with this many random bytes of content, ready to be sealed.</summary>
    public byte[] Packet(int length)
    {
        var packet = new byte[4 + length + Seal.TagLength];
        BinaryPrimitives.WriteInt32BigEndian(packet, length);
        RandomNumberGenerator.Fill(packet.AsSpan(4, length));
        return packet;
    }

    /// <summary>The four bytes that a peer with the keys sends for this packet_length, also for one that Seal refuses.</summary>
    public byte[] SealedLength(uint sequence, uint length)
    {
        var plain = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(plain, length);
        if (_cipher != "chacha20-poly1305@openssh.com") return plain;
        var iv = new byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(iv.AsSpan(8), sequence);
        using StreamCipher cipher = StreamCipher.ChaCha20(Key.AsSpan(32), iv);
        cipher.Apply(plain, plain);
        return plain;
    }

    public void Dispose()
    {
        Seal.Dispose();
        Open.Dispose();
    }

    private static byte[] Material(byte label, int length) =>
        length == 0 ? [] : HKDF.Expand(HashAlgorithmName.SHA256, SHA256.HashData([label]), length);
}
