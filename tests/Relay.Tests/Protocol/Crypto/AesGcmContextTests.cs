using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Tests.Protocol.Crypto;

public sealed class AesGcmContextTests
{
    // The framework's class is the oracle; both directions, every length around the block size, with and without associated data.
    [Theory, InlineData(16), InlineData(32)]
    public void Agrees_with_the_framework(int keyLength)
    {
        byte[] key = RandomNumberGenerator.GetBytes(keyLength);
        using var oracle = new AesGcm(key, AesGcmContext.TagLength);
        using var seal = new AesGcmContext(key, encrypts: true);
        using var open = new AesGcmContext(key, encrypts: false);
        for (int length = 0; length <= 100; length++)
        {
            byte[] nonce = RandomNumberGenerator.GetBytes(12), associated = RandomNumberGenerator.GetBytes(length % 5), plain = RandomNumberGenerator.GetBytes(length);
            byte[] expected = new byte[length], expectedTag = new byte[16], text = [.. plain], tag = new byte[16];
            oracle.Encrypt(nonce, plain, expected, expectedTag, associated);
            seal.Encrypt(nonce, associated, text, tag);
            Assert.Equal(expected, text);
            Assert.Equal(expectedTag, tag);
            Assert.True(open.TryDecrypt(nonce, associated, text, tag));
            Assert.Equal(plain, text);
        }
    }

    [Fact]
    public void Wrong_tag_zeroes_the_text_and_spoils_nothing_else()
    {
        byte[] key = new byte[16], nonce = new byte[12], text = [1, 2, 3], tag = new byte[16];
        using var seal = new AesGcmContext(key, encrypts: true);
        using var open = new AesGcmContext(key, encrypts: false);
        seal.Encrypt(nonce, [], text, tag);
        byte[] bad = [.. text];
        tag[15] ^= 1;
        Assert.False(open.TryDecrypt(nonce, [], bad, tag));
        Assert.Equal(new byte[3], bad);
        tag[15] ^= 1;
        Assert.True(open.TryDecrypt(nonce, [], text, tag));
        Assert.Equal([1, 2, 3], text);
    }

    [Fact]
    public void Context_refuses_the_other_direction()
    {
        using var seal = new AesGcmContext(new byte[16], encrypts: true);
        Assert.Throws<InvalidOperationException>(() => seal.TryDecrypt(new byte[12], [], [], new byte[16]));
    }
}
