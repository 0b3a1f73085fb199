using System.Text.Json;
using Relay.Protocol.Crypto;

namespace Relay.Tests.Protocol.Crypto;

public sealed class X25519Tests
{
    private const string File = "rfc7748.json";

    // RFC 7748 §6.1 and the points of order 1, 2, 4 and 8, which lead to the all-zero secret.
    private static readonly string[] SmallOrder =
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ];

    public static TheoryData<string> Sections => VectorFile.Sections(File);

    public static TheoryData<string> SmallOrderPoints => [.. SmallOrder];

    [Theory, MemberData(nameof(Sections))]
    public void Published_vector_holds(string section)
    {
        JsonElement vector = VectorFile.Of(File, section);
        using X25519PrivateKey key = X25519PrivateKey.FromScalar(vector.Hex("scalar"));
        var secret = new byte[X25519PrivateKey.Length];
        Assert.True(key.TryDerive(vector.Hex("u"), secret));
        Assert.Equal(vector.Hex("secret"), secret);
        if (vector.TryGetProperty("public", out _)) Assert.Equal(vector.Hex("public"), key.PublicKey.ToArray());
    }

    // RFC 7748 §5.2: k and u begin as 9; each round k becomes X25519(k, u) and u the old k.
    [Fact]
    public void Iterated_a_thousand_times_the_result_is_the_published_one()
    {
        byte[] k = [9, .. new byte[31]], u = [9, .. new byte[31]];
        for (int i = 0; i < 1000; i++)
        {
            using X25519PrivateKey key = X25519PrivateKey.FromScalar(k);
            var next = new byte[X25519PrivateKey.Length];
            Assert.True(key.TryDerive(u, next));
            (u, k) = (k, next);
            if (i == 0) Assert.Equal("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", Convert.ToHexStringLower(k));
        }

        Assert.Equal("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", Convert.ToHexStringLower(k));
    }

    [Theory, MemberData(nameof(SmallOrderPoints))]
    public void Point_of_small_order_is_refused_and_leaves_no_secret(string point)
    {
        using X25519PrivateKey key = X25519PrivateKey.Generate();
        byte[] secret = [.. Enumerable.Repeat((byte)0xaa, X25519PrivateKey.Length)];
        Assert.False(key.TryDerive(Convert.FromHexString(point), secret));
        Assert.Equal(new byte[X25519PrivateKey.Length], secret);
    }

    [Theory, InlineData(0), InlineData(31), InlineData(33)]
    public void Public_value_of_another_length_is_refused(int length)
    {
        using X25519PrivateKey key = X25519PrivateKey.Generate();
        Assert.False(key.TryDerive(new byte[length], new byte[X25519PrivateKey.Length]));
    }
}
