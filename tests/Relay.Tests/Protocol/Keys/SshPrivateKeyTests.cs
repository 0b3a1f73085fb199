using System.Security.Cryptography;
using System.Text;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

public sealed class SshPrivateKeyTests
{
    public static TheoryData<SshKeyKind> Kinds => TestKeys.Kinds;

    [Theory, MemberData(nameof(Kinds))]
    public void Export_is_read_again_and_signs_for_the_same_key(SshKeyKind kind)
    {
        SshPrivateKey key = TestKeys.Of(kind);
        for (int comment = 0; comment < 10; comment++) // every padding length
        {
            string text = key.ExportOpenSsh(new string('c', comment));
            Assert.True(SshPrivateKey.TryImport(text, out SshPrivateKey? again, out string? error), error);
            using (again)
            {
                Assert.Equal(key.PublicKey, again.PublicKey);
                string algorithm = key.PublicKey.SignatureAlgorithms[0];
                Assert.True(key.PublicKey.Verify(algorithm, "x"u8, again.Sign(algorithm, "x"u8)));
            }
        }

        Assert.Throws<ArgumentException>(() => key.ExportOpenSsh("two\nlines"));
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task One_key_signs_for_many_at_once(SshKeyKind kind)
    {
        SshPrivateKey key = TestKeys.Of(kind);
        string algorithm = key.PublicKey.SignatureAlgorithms[0];
        await Parallel.ForAsync(0, 64, TestContext.Current.CancellationToken, (i, _) =>
        {
            byte[] data = Encoding.ASCII.GetBytes($"message {i}");
            Assert.True(key.PublicKey.Verify(algorithm, data, key.Sign(algorithm, data)));
            return ValueTask.CompletedTask;
        });
    }

    [Fact]
    public void Halves_that_do_not_belong_together_are_refused()
    {
        foreach (SshKeyKind kind in new[] { SshKeyKind.Ed25519, SshKeyKind.EcdsaP256 })
        {
            using SshPrivateKey one = SshPrivateKey.Generate(kind), other = SshPrivateKey.Generate(kind);
            // The public half is in the file twice or more; every copy is exchanged.
            int length = kind == SshKeyKind.Ed25519 ? 32 : 65;
            byte[] body = Body(one.ExportOpenSsh("")), from = one.PublicKey.Blob.ToArray()[^length..], to = other.PublicKey.Blob.ToArray()[^length..];
            for (int at = body.AsSpan().IndexOf(from); at >= 0; at = body.AsSpan().IndexOf(from)) to.CopyTo(body, at);
            Assert.False(SshPrivateKey.TryImport(Pem(body), out _, out string? error));
            Assert.NotEmpty(error);
        }
    }

    [Fact]
    public void Texts_that_are_no_key_are_refused_without_quoting_them()
    {
        using ECDsa strange = ECDsa.Create(ECCurve.CreateFromFriendlyName("secp256k1"));
        using DSA dsa = DSA.Create(1024);
        string[] bad =
        [
            "", "secret text", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n", strange.ExportPkcs8PrivateKeyPem(), strange.ExportECPrivateKeyPem(),
            dsa.ExportPkcs8PrivateKeyPem(), TestKeys.Ed25519.PublicKey.ToLine(), new string('x', 100_000),
            "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n",
        ];
        foreach (string text in bad)
        {
            Assert.False(SshPrivateKey.TryImport(text, out SshPrivateKey? key, out string? error), text);
            Assert.Null(key);
            Assert.NotEmpty(error);
            Assert.DoesNotContain("secret", error, StringComparison.Ordinal);
            Assert.DoesNotContain("c2VjcmV0", error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Encrypted_pkcs8_is_refused_with_a_clear_sentence()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        string pem = key.ExportEncryptedPkcs8PrivateKeyPem("p", new PbeParameters(PbeEncryptionAlgorithm.Aes128Cbc, HashAlgorithmName.SHA256, 1000));
        Assert.False(SshPrivateKey.TryImport(pem, out _, out string? error));
        Assert.Contains("passphrase", error, StringComparison.Ordinal);
    }

    internal static byte[] Body(string pem) => Convert.FromBase64String(string.Concat(pem.Split('\n').Where(l => !l.StartsWith('-'))));

    internal static string Pem(byte[] body) => $"-----BEGIN OPENSSH PRIVATE KEY-----\n{Convert.ToBase64String(body)}\n-----END OPENSSH PRIVATE KEY-----\n";
}
