using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Tests.Protocol.Crypto;

public sealed class ChaCha20Poly1305ContextTests
{
    [Fact]
    public void Published_vector_holds()
    {
        var vector = Assert.Single(VectorFile.Read("rfc8439-aead.json"));
        byte[] nonce = vector.Hex("nonce"), text = vector.Hex("plain"), tag = new byte[16];
        Assert.Equal(0, BinaryPrimitives.ReadInt32LittleEndian(nonce));
        var number = BinaryPrimitives.ReadUInt64LittleEndian(nonce.AsSpan(4));
        using var seal = new ChaCha20Poly1305Context(encrypts: true);
        using var open = new ChaCha20Poly1305Context(encrypts: false);
        seal.SetKey(vector.Hex("key"));
        open.SetKey(vector.Hex("key"));
        seal.Encrypt(number, vector.Hex("associated"), text, tag);
        Assert.Equal(vector.Hex("cipher"), text);
        Assert.Equal(vector.Hex("tag"), tag);
        Assert.True(open.TryDecrypt(number, vector.Hex("associated"), text, tag));
        Assert.Equal(vector.Hex("plain"), text);
    }

    // The framework's class is the oracle: one context, a new key for each message, every length around the blocks of 64.
    [Fact]
    public void Agrees_with_the_framework_under_one_key_after_another()
    {
        using var seal = new ChaCha20Poly1305Context(encrypts: true);
        using var open = new ChaCha20Poly1305Context(encrypts: false);
        for (var length = 0; length <= 200; length++)
        {
            byte[] key = RandomNumberGenerator.GetBytes(32), nonce = new byte[12], associated = RandomNumberGenerator.GetBytes(length % 20);
            byte[] plain = RandomNumberGenerator.GetBytes(length), expected = new byte[length], expectedTag = new byte[16], text = [.. plain], tag = new byte[16];
            var number = unchecked((ulong)length * 0x123456789abcdef);
            BinaryPrimitives.WriteUInt64LittleEndian(nonce.AsSpan(4), number);
            using var oracle = new ChaCha20Poly1305(key);
            oracle.Encrypt(nonce, plain, expected, expectedTag, associated);
            seal.SetKey(key);
            seal.Encrypt(number, associated, text, tag);
            Assert.Equal(expected, text);
            Assert.Equal(expectedTag, tag);
            open.SetKey(key);
            Assert.True(open.TryDecrypt(number, associated, text, tag));
            Assert.Equal(plain, text);
        }
    }

    [Fact]
    public void Wrong_tag_zeroes_the_text_and_spoils_nothing_else()
    {
        byte[] text = [1, 2, 3], tag = new byte[16];
        using var seal = new ChaCha20Poly1305Context(encrypts: true);
        using var open = new ChaCha20Poly1305Context(encrypts: false);
        seal.SetKey(new byte[32]);
        seal.Encrypt(7, [], text, tag);
        byte[] bad = [.. text];
        tag[15] ^= 1;
        Assert.False(open.TryDecrypt(7, [], bad, tag));
        Assert.Equal(new byte[3], bad);
        tag[15] ^= 1;
        Assert.True(open.TryDecrypt(7, [], text, tag));
        Assert.Equal([1, 2, 3], text);
    }

    [Fact]
    public void A_forgotten_key_opens_nothing()
    {
        byte[] key = RandomNumberGenerator.GetBytes(32), text = [1, 2, 3], tag = new byte[16];
        using var seal = new ChaCha20Poly1305Context(encrypts: true);
        using var open = new ChaCha20Poly1305Context(encrypts: false);
        seal.SetKey(key);
        seal.Encrypt(0, [], text, tag);
        open.SetKey(key);
        open.ForgetKey();
        Assert.False(open.TryDecrypt(0, [], text, tag));
    }

    [Fact]
    public void Context_refuses_the_other_direction_and_a_late_use()
    {
        var seal = new ChaCha20Poly1305Context(encrypts: true);
        Assert.Throws<InvalidOperationException>(() => seal.TryDecrypt(0, [], [], new byte[16]));
        seal.Dispose();
        Assert.Throws<ObjectDisposedException>(() => seal.Encrypt(0, [], [], new byte[16]));
        Assert.Throws<ObjectDisposedException>(() => seal.SetKey(new byte[32]));
    }
}
