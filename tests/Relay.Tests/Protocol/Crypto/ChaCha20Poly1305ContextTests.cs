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
        using var seal = new ChaCha20Poly1305Context();
        using var open = new ChaCha20Poly1305Context();
        seal.SetKey(vector.Hex("key"));
        open.SetKey(vector.Hex("key"));
        seal.Encrypt(number, vector.Hex("associated"), text, tag);
        Assert.Equal(vector.Hex("cipher"), text);
        Assert.Equal(vector.Hex("tag"), tag);
        Assert.True(open.TryDecrypt(number, vector.Hex("associated"), text, tag));
        Assert.Equal(vector.Hex("plain"), text);
    }

    // The framework's class is the oracle: one context, a new key for each message, every length around the blocks of 64, a packet's, and the longest.
    [Fact]
    public void Agrees_with_the_framework_under_one_key_after_another()
    {
        using var seal = new ChaCha20Poly1305Context();
        using var open = new ChaCha20Poly1305Context();
        foreach (var length in (int[])[.. Enumerable.Range(0, 201), .. Enumerable.Range(1400, 200), 65_535, 3])
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
    public void Any_changed_byte_is_refused_leaves_the_text_and_spoils_nothing_else()
    {
        byte[] plain = RandomNumberGenerator.GetBytes(70), associated = RandomNumberGenerator.GetBytes(5), text = [.. plain], tag = new byte[16];
        using var context = new ChaCha20Poly1305Context();
        context.SetKey(RandomNumberGenerator.GetBytes(32));
        context.Encrypt(7, associated, text, tag);
        foreach (var part in (byte[][])[text, associated, tag])
        {
            for (var i = 0; i < part.Length; i++)
            {
                part[i] ^= 0x80;
                byte[] bad = [.. text];
                Assert.False(context.TryDecrypt(7, associated, bad, tag));
                Assert.Equal(text, bad);
                part[i] ^= 0x80;
            }
        }

        Assert.False(context.TryDecrypt(8, associated, text, tag));
        Assert.False(context.TryDecrypt(7, [], text, tag));
        Assert.False(context.TryDecrypt(7, associated, text.AsSpan(0, 64), tag));
        Assert.True(context.TryDecrypt(7, associated, text, tag));
        Assert.Equal(plain, text);
    }

    [Fact]
    public void A_forgotten_key_opens_nothing()
    {
        byte[] key = RandomNumberGenerator.GetBytes(32), text = [1, 2, 3], tag = new byte[16];
        using var seal = new ChaCha20Poly1305Context();
        using var open = new ChaCha20Poly1305Context();
        seal.SetKey(key);
        seal.Encrypt(0, [], text, tag);
        open.SetKey(key);
        open.ForgetKey();
        Assert.False(open.TryDecrypt(0, [], text, tag));
    }

    [Fact]
    public void Context_refuses_wrong_lengths_and_a_late_use()
    {
        var context = new ChaCha20Poly1305Context();
        Assert.Throws<ArgumentException>(() => context.SetKey(new byte[31]));
        Assert.Throws<ArgumentException>(() => context.TryDecrypt(0, [], [], new byte[15]));
        Assert.Throws<ArgumentException>(() => context.Encrypt(0, [], [], new byte[17]));
        context.Dispose();
        Assert.Throws<ObjectDisposedException>(() => context.Encrypt(0, [], [], new byte[16]));
        Assert.Throws<ObjectDisposedException>(() => context.SetKey(new byte[32]));
    }
}
