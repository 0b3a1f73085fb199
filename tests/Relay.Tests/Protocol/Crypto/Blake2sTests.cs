using Relay.Protocol.Crypto;

namespace Relay.Tests.Protocol.Crypto;

public sealed class Blake2sTests
{
    private const string File = "blake2s.json";

    [Fact]
    public void Hash_hmac_and_mac_agree_with_hashlib()
    {
        using var blake = new Blake2s();
        Assert.All(VectorFile.Read(File), vector =>
        {
            byte[] data = vector.Hex("data"), key = vector.Hex("key"), digest = new byte[32], mac = new byte[16];
            var half = data.Length / 2;
            blake.Hash(data.AsSpan(0, half), data.AsSpan(half), digest);
            Assert.Equal(vector.Hex("hash"), digest);
            blake.Hmac(key, data.AsSpan(0, half), data.AsSpan(half), digest);
            Assert.Equal(vector.Hex("hmac"), digest);
            blake.Mac(key, data, mac);
            Assert.Equal(vector.Hex("mac"), mac);
        });
    }

    [Fact]
    public void Published_digest_of_abc_holds()
    {
        // RFC 7693 appendix B.
        var digest = new byte[32];
        Blake2s.ForThread.Hash("abc"u8, [], digest);
        Assert.Equal("508C5E8C327C14E2E1A72BA34EEB452F37458B209ED63A294D999B4C86675982", Convert.ToHexString(digest));
    }

    [Fact]
    public void An_output_may_be_an_input()
    {
        byte[] separate = new byte[32], same = new byte[32];
        Blake2s.ForThread.Hash(same, "x"u8, separate);
        Blake2s.ForThread.Hash(same, "x"u8, same);
        Assert.Equal(separate, same);
        Blake2s.ForThread.Hmac(same, same, "y"u8, separate);
        Blake2s.ForThread.Hmac(same, same, "y"u8, same);
        Assert.Equal(separate, same);
    }
}
