using Relay.Protocol.Crypto;

namespace Relay.Tests.Protocol.Crypto;

public sealed class XChaCha20Poly1305Tests
{
    private const string File = "xchacha20poly1305.json";

    [Fact]
    public void Published_vector_of_HChaCha20_holds()
    {
        var vector = VectorFile.Of(File, "draft-irtf-cfrg-xchacha-03 §2.2.1");
        var derived = new byte[32];
        XChaCha20Poly1305.HChaCha20(vector.Hex("key"), vector.Hex("nonce"), derived);
        Assert.Equal(vector.Hex("derived"), derived);
    }

    [Fact]
    public void Published_vector_of_the_AEAD_holds()
    {
        var vector = VectorFile.Of(File, "draft-irtf-cfrg-xchacha-03 §A.3.1");
        byte[] text = vector.Hex("plain"), tag = new byte[16];
        XChaCha20Poly1305.Encrypt(vector.Hex("key"), vector.Hex("nonce"), vector.Hex("associated"), text, tag);
        Assert.Equal(vector.Hex("cipher"), text);
        Assert.Equal(vector.Hex("tag"), tag);
        Assert.True(XChaCha20Poly1305.TryDecrypt(vector.Hex("key"), vector.Hex("nonce"), vector.Hex("associated"), text, tag));
        Assert.Equal(vector.Hex("plain"), text);
        tag[0] ^= 0x80;
        Assert.False(XChaCha20Poly1305.TryDecrypt(vector.Hex("key"), vector.Hex("nonce"), vector.Hex("associated"), text, tag));
        Assert.Equal(vector.Hex("plain"), text);
    }
}
