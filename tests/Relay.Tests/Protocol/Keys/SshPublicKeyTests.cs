using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

public sealed class SshPublicKeyTests
{
    public static TheoryData<SshKeyKind> Kinds => TestKeys.Kinds;

    [Theory, MemberData(nameof(Kinds))]
    public void Own_signature_verifies_and_every_changed_byte_does_not(SshKeyKind kind)
    {
        SshPrivateKey key = TestKeys.Of(kind);
        byte[] data = [1, 2, 3, 4, 5];
        foreach (string algorithm in key.PublicKey.SignatureAlgorithms)
        {
            byte[] signature = key.Sign(algorithm, data);
            Assert.True(key.PublicKey.Verify(algorithm, data, signature));
            for (int i = 0; i < signature.Length; i++)
            {
                byte[] bad = [.. signature];
                bad[i] ^= 0x40;
                Assert.False(key.PublicKey.Verify(algorithm, data, bad), $"byte {i}");
                Assert.False(key.PublicKey.Verify(algorithm, data, signature.AsSpan(0, i)), $"cut at {i}");
            }

            Assert.False(key.PublicKey.Verify(algorithm, data, [.. signature, 0]), "a byte more");
            Assert.False(key.PublicKey.Verify(algorithm, [1, 2, 3, 4], signature));
        }
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Another_keys_signature_does_not_verify(SshKeyKind kind)
    {
        SshPrivateKey key = TestKeys.Of(kind);
        string algorithm = key.PublicKey.SignatureAlgorithms[0];
        foreach (SshKeyKind other in Enum.GetValues<SshKeyKind>().Where(k => k != kind))
        {
            SshPrivateKey stranger = TestKeys.Of(other);
            byte[] signature = stranger.Sign(stranger.PublicKey.SignatureAlgorithms[0], "x"u8);
            Assert.False(key.PublicKey.Verify(algorithm, "x"u8, signature));
            Assert.False(key.PublicKey.Verify(stranger.PublicKey.SignatureAlgorithms[0], "x"u8, signature));
        }
    }

    [Fact]
    public void Sha1_signatures_of_rsa_keys_do_not_exist()
    {
        Assert.Equal(["rsa-sha2-512", "rsa-sha2-256"], TestKeys.Rsa.PublicKey.SignatureAlgorithms);
        Assert.Throws<ArgumentException>(() => TestKeys.Rsa.Sign("ssh-rsa", "x"u8));
        byte[] signature = TestKeys.Rsa.Sign("rsa-sha2-256", "x"u8);
        Assert.False(TestKeys.Rsa.PublicKey.Verify("ssh-rsa", "x"u8, signature));
        Assert.False(TestKeys.Rsa.PublicKey.Verify("rsa-sha2-512", "x"u8, signature));
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Line_round_trips_with_and_without_comment(SshKeyKind kind)
    {
        SshPublicKey key = TestKeys.Of(kind).PublicKey;
        Assert.True(SshPublicKey.TryParseLine(key.ToLine("a comment with blanks"), out SshPublicKey? read, out string comment, out _));
        Assert.Equal(key, read);
        Assert.Equal("a comment with blanks", comment);
        Assert.True(SshPublicKey.TryParseLine("  " + key.ToLine().Replace(" ", "\t ", StringComparison.Ordinal) + "\r\n", out read, out comment, out _));
        Assert.Equal(key, read);
        Assert.Equal("", comment);
        Assert.Equal(key.GetHashCode(), read.GetHashCode());
    }

    [Fact]
    public void Lines_that_are_no_key_are_refused_with_a_reason()
    {
        string line = TestKeys.Ed25519.PublicKey.ToLine();
        string base64 = line.Split(' ')[1];
        string[] bad =
        [
            "", " ", "ssh-ed25519", "ssh-ed25519 ", base64, $"ecdsa-sha2-nistp256 {base64}", $"ssh-ed25519 {base64[..^2]}", $"ssh-ed25519 {base64}!",
            $"no-pty {line}", $"{line}\n{line}", $"ssh-ed25519 {base64} com\u0007ment", new string('a', 100_000), $"ssh-dss {base64}",
        ];
        foreach (string text in bad)
        {
            Assert.False(SshPublicKey.TryParseLine(text, out SshPublicKey? key, out _, out string? error), text);
            Assert.Null(key);
            Assert.NotEmpty(error);
        }

        Assert.Throws<ArgumentException>(() => TestKeys.Ed25519.PublicKey.ToLine("two\nlines"));
    }

    [Fact]
    public void Blobs_of_wrong_shape_are_refused()
    {
        byte[] point = TestKeys.Ed25519.PublicKey.Blob.ToArray()[^32..];
        byte[] ecPoint = TestKeys.Ecdsa.PublicKey.Blob.ToArray()[^65..];
        byte[] offCurve = [.. ecPoint];
        offCurve[64] ^= 1;
        byte[][] bad =
        [
            [],
            TestKeys.Blob("ssh-ed25519"),
            TestKeys.Blob("ssh-ed25519", point[1..]),
            TestKeys.Blob("ssh-ed25519", [.. point, 0]),
            TestKeys.Blob("ssh-ed25519", point, []),
            TestKeys.Blob("ssh-dss", point),
            TestKeys.Blob("rsa-sha2-256", [1, 0, 1], [0x7f]),
            TestKeys.Blob("ecdsa-sha2-nistp256", "nistp384"u8.ToArray(), ecPoint),
            TestKeys.Blob("ecdsa-sha2-nistp256", "nistp256"u8.ToArray(), offCurve),
            TestKeys.Blob("ecdsa-sha2-nistp256", "nistp256"u8.ToArray(), ecPoint[1..]),
            TestKeys.Blob("ecdsa-sha2-nistp256", "nistp256"u8.ToArray(), [(byte)(2 + (ecPoint[64] & 1)), .. ecPoint[1..33]]),
            TestKeys.Blob("ecdsa-sha2-nistp256", "nistp256"u8.ToArray(), [0]),
            [.. TestKeys.Rsa.PublicKey.Blob.ToArray(), 0],
            new byte[SshPublicKey.MaximumBlobLength + 1],
        ];
        foreach (byte[] blob in bad)
        {
            Assert.False(SshPublicKey.TryParse(blob, out SshPublicKey? key, out string? error), Convert.ToHexString(blob));
            Assert.Null(key);
            Assert.NotEmpty(error);
        }
    }

    [Theory]
    [InlineData("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com")]
    [InlineData("rsa-sha2-512", "rsa-sha2-512-cert-v01@openssh.com")]
    [InlineData("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com")]
    [InlineData("sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com")]
    public void Certificate_names_map_to_plain_names_and_back(string plain, string certificate)
    {
        Assert.Equal(certificate, SshKeyTypes.ToCertificate(plain));
        Assert.Equal(plain, SshKeyTypes.ToPlain(certificate));
        Assert.Equal(plain, SshKeyTypes.ToPlain(plain));
        Assert.Contains(certificate, SshKeyTypes.CertificateAlgorithms);
    }
}
