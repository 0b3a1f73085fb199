using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Keys as people and files have them.</summary>
public sealed class WireGuardPrivateKeyTests
{
    [Fact]
    public void The_public_key_is_the_one_of_the_standard()
    {
        // RFC 7748 §6.1, Bob.
        var key = Convert.FromHexString("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        Assert.Equal(new WireGuardPublicKey(Convert.FromHexString("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")), WireGuardPrivateKey.PublicKey(key));
        Assert.Throws<ArgumentException>(() => WireGuardPrivateKey.PublicKey(key.AsSpan(1)));
    }

    [Fact]
    public void A_new_key_is_clamped_and_another_one_each_time()
    {
        var (one, two) = (WireGuardPrivateKey.Generate(), WireGuardPrivateKey.Generate());
        Assert.NotEqual(one, two);
        Assert.All([one, two], key => Assert.Equal((0, 64), (key[0] & 7, key[31] & 192)));
        Assert.True(WireGuardPrivateKey.CanAgreeWith(WireGuardPrivateKey.PublicKey(one)));
    }

    [Theory]
    [InlineData("0000000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("0100000000000000000000000000000000000000000000000000000000000000")]
    [InlineData("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
    public void A_value_of_small_order_is_nobodys_key(string key) =>
        Assert.False(WireGuardPrivateKey.CanAgreeWith(new WireGuardPublicKey(Convert.FromHexString(key))));
}
