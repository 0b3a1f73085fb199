using System.Security.Cryptography;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ciphers;

public sealed class KeyExchangeTests
{
    public static TheoryData<string> Methods => [.. SshKeyExchange.Names];

    [Theory, MemberData(nameof(Methods))]
    public void Both_sides_agree_on_a_fresh_positive_mpint(string method)
    {
        var seen = new HashSet<string>();
        for (int i = 0; i < 40; i++)
        {
            using SshKeyExchange client = SshKeyExchange.Create(method), server = SshKeyExchange.Create(method);
            Assert.True(client.TryDerive(server.PublicValue.Span, out byte[] one));
            Assert.True(server.TryDerive(client.PublicValue.Span, out byte[] other));
            Assert.Equal(one, other);
            var reader = new SshReader(one);
            Assert.True(reader.TryReadMpint(out ReadOnlySpan<byte> magnitude) && reader.IsAtEnd);
            Assert.False(magnitude.IsEmpty);
            Assert.True(seen.Add(Convert.ToHexString(one)));
        }
    }

    [Theory, MemberData(nameof(Methods))]
    public void Public_values_of_every_other_length_are_refused(string method)
    {
        using SshKeyExchange exchange = SshKeyExchange.Create(method), peer = SshKeyExchange.Create(method);
        byte[] good = peer.PublicValue.ToArray();
        for (int length = 0; length <= 140; length++)
        {
            if (length == good.Length) continue;
            byte[] bad = length < good.Length ? good[..length] : [.. good, .. new byte[length - good.Length]];
            Assert.False(exchange.TryDerive(bad, out byte[] secret));
            Assert.Empty(secret);
        }
    }

    [Fact]
    public void Curve25519_refuses_the_all_zero_secret()
    {
        using SshKeyExchange exchange = SshKeyExchange.Create("curve25519-sha256");
        Assert.False(exchange.TryDerive(new byte[32], out _));
        Assert.False(exchange.TryDerive([1, .. new byte[31]], out _));
    }

    [Fact]
    public void Curve25519_secret_is_hashed_as_the_big_endian_number_of_its_bytes()
    {
        using SshKeyExchange exchange = SshKeyExchange.Create("curve25519-sha256");
        using var peer = Relay.Protocol.Crypto.X25519PrivateKey.Generate();
        var raw = new byte[32];
        Assert.True(peer.TryDerive(exchange.PublicValue.Span, raw));
        using var expected = new SshWriter();
        expected.WriteMpint(raw);
        Assert.True(exchange.TryDerive(peer.PublicKey.Span, out byte[] secret));
        Assert.Equal(expected.ToArray(), secret);
    }

    [Fact]
    public void Ecdh_refuses_points_off_the_curve_compressed_and_infinite()
    {
        using SshKeyExchange exchange = SshKeyExchange.Create("ecdh-sha2-nistp256"), peer = SshKeyExchange.Create("ecdh-sha2-nistp256");
        byte[] point = peer.PublicValue.ToArray();
        Assert.True(exchange.TryDerive(point, out _));
        foreach (int at in new[] { 1, 32, 33, 64 })
        {
            byte[] off = [.. point];
            off[at] ^= 1;
            Assert.False(exchange.TryDerive(off, out _));
        }

        Assert.False(exchange.TryDerive([0x06, .. point[1..]], out _)); // hybrid form
        Assert.False(exchange.TryDerive([(byte)(2 + (point[64] & 1)), .. point[1..33]], out _));
        Assert.False(exchange.TryDerive([0], out _));
        Assert.False(exchange.TryDerive([4, .. new byte[64]], out _));
        Assert.False(exchange.TryDerive([4, .. Enumerable.Repeat((byte)0xff, 64)], out _)); // coordinates over the prime
    }

    [Fact]
    public void Ecdh_agrees_with_the_framework()
    {
        using SshKeyExchange exchange = SshKeyExchange.Create("ecdh-sha2-nistp256");
        using ECDiffieHellman peer = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        ECParameters own = peer.ExportParameters(false);
        ReadOnlySpan<byte> value = exchange.PublicValue.Span;
        using ECDiffieHellman theirs = ECDiffieHellman.Create(new ECParameters
        {
            Curve = ECCurve.NamedCurves.nistP256,
            Q = new ECPoint { X = value[1..33].ToArray(), Y = value[33..].ToArray() },
        });
        using var expected = new SshWriter();
        expected.WriteMpint(peer.DeriveRawSecretAgreement(theirs.PublicKey));
        Assert.True(exchange.TryDerive([4, .. own.Q.X!, .. own.Q.Y!], out byte[] secret));
        Assert.Equal(expected.ToArray(), secret);
    }
}
