using System.Security.Cryptography;
using System.Text.Json;
using Relay.Protocol.Crypto;

namespace Relay.Tests.Protocol.Crypto;

public sealed class Ed25519Tests
{
    private const string File = "rfc8032.json";

    public static TheoryData<string> Sections => VectorFile.Sections(File);

    [Theory, MemberData(nameof(Sections))]
    public void Published_vector_holds(string section)
    {
        JsonElement vector = VectorFile.Of(File, section);
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(vector.Hex("seed"));
        Assert.Equal(vector.Hex("public"), key.PublicKey.ToArray());
        Assert.Equal(vector.Hex("signature"), key.Sign(vector.Hex("message")));
        Assert.True(Ed25519.Verify(vector.Hex("public"), vector.Hex("message"), vector.Hex("signature")));
    }

    [Fact]
    public void Every_flipped_bit_of_signature_message_and_key_is_noticed()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        byte[] message = RandomNumberGenerator.GetBytes(40), signature = key.Sign(message), point = key.PublicKey.ToArray();
        Assert.True(Ed25519.Verify(point, message, signature));
        foreach (byte[] part in new[] { message, signature, point })
        {
            for (int bit = 0; bit < part.Length * 8; bit++)
            {
                part[bit / 8] ^= (byte)(1 << (bit % 8));
                Assert.False(Ed25519.Verify(point, message, signature), $"bit {bit} of {part.Length} bytes");
                part[bit / 8] ^= (byte)(1 << (bit % 8));
            }
        }
    }

    // RFC 8032 §5.1.7 step 1: S is below the group's order L; S + L would otherwise be a second signature.
    [Fact]
    public void Signature_with_the_order_added_is_refused()
    {
        byte[] order = Convert.FromHexString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(new byte[32]);
        byte[] signature = key.Sign("x"u8);
        int carry = 0;
        for (int i = 0; i < 32; i++)
        {
            int sum = signature[32 + i] + order[i] + carry;
            signature[32 + i] = (byte)(sum & 0xff);
            carry = sum >> 8;
        }

        Assert.Equal(0, carry);
        Assert.False(Ed25519.Verify(key.PublicKey.Span, "x"u8, signature));
    }

    [Fact]
    public void Wrong_lengths_are_false_not_errors()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        byte[] signature = key.Sign([]);
        for (int length = 0; length <= 70; length++)
        {
            if (length != 64) Assert.False(Ed25519.Verify(key.PublicKey.Span, [], new byte[length]));
            if (length != 32) Assert.False(Ed25519.Verify(new byte[length], [], signature));
        }
    }

    [Fact]
    public void Seed_comes_out_as_it_went_in()
    {
        byte[] seed = RandomNumberGenerator.GetBytes(32), exported = new byte[32];
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(seed);
        key.ExportSeed(exported);
        Assert.Equal(seed, exported);
        Assert.Throws<ArgumentException>(() => Ed25519PrivateKey.FromSeed(new byte[31]));
    }

    [Fact]
    public void Disposed_key_signs_no_more()
    {
        Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        key.Dispose();
        Assert.Throws<ObjectDisposedException>(() => key.Sign([]));
    }
}
