using System.Security.Cryptography;
using System.Text;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

/// <summary>Keys and signatures of ssh-keygen are ours, and ours are ssh-keygen's.</summary>
public sealed class OpenSshInteropTests : IDisposable
{
    private readonly SshKeygen _keygen = new();

    public static TheoryData<string, string> Types => new()
    {
        { "ed25519", "" },
        { "ecdsa", "256" },
        { "ecdsa", "384" },
        { "ecdsa", "521" },
        { "rsa", "2048" },
        { "rsa", "3072" },
    };

    [Theory, MemberData(nameof(Types))]
    public void Key_made_by_ssh_keygen_is_read_and_written_back_unchanged(string type, string bits)
    {
        string pem = Generate("k", type, bits);
        Assert.True(SshPrivateKey.TryImport(pem, out SshPrivateKey? key, out string? error), error);
        using (key)
        {
            Assert.True(SshPublicKey.TryParseLine(_keygen.Read("k.pub"), out SshPublicKey? publicKey, out string comment, out error), error);
            Assert.Equal("made by ssh-keygen", comment);
            Assert.Equal(publicKey, key.PublicKey);
            Assert.Equal(_keygen.Read("k.pub").Trim(), key.PublicKey.ToLine(comment));
            Assert.Contains(key.PublicKey.Fingerprint, _keygen.Run("-l", "-f", _keygen.PathOf("k.pub")), StringComparison.Ordinal);

            // The export is read by ssh-keygen as the same key.
            _keygen.Write("export", key.ExportOpenSsh("from relay"));
            Assert.Equal(key.PublicKey.ToLine("from relay"), _keygen.Run("-y", "-f", _keygen.PathOf("export")).Trim());
            Assert.True(SshPrivateKey.TryImport(_keygen.Read("export"), out SshPrivateKey? again, out error), error);
            using (again) Assert.Equal(key.PublicKey, again.PublicKey);
        }
    }

    [Theory]
    [InlineData("rsa", "2048", "PEM")] // PKCS#1
    [InlineData("ecdsa", "256", "PEM")] // SEC1
    [InlineData("ecdsa", "521", "PEM")]
    [InlineData("rsa", "2048", "PKCS8")]
    [InlineData("ecdsa", "384", "PKCS8")]
    public void Other_formats_of_ssh_keygen_are_read(string type, string bits, string format)
    {
        string pem = Generate("k", type, bits, "-m", format);
        Assert.True(SshPrivateKey.TryImport(pem, out SshPrivateKey? key, out string? error), error);
        using (key) Assert.Equal(_keygen.Read("k.pub").Trim(), key.PublicKey.ToLine("made by ssh-keygen"));
    }

    [Theory]
    [InlineData("genpkey", "-algorithm", "ed25519")]
    [InlineData("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")]
    [InlineData("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")]
    [InlineData("ecparam", "-genkey", "-name", "prime256v1")] // EC PARAMETERS stand before the key
    public void Keys_made_by_openssl_are_read(params string[] arguments)
    {
        Assert.True(SshPrivateKey.TryImport(_keygen.RunProgram("openssl", null, arguments), out SshPrivateKey? key, out string? error), error);
        using (key)
        {
            byte[] signature = key.Sign(key.PublicKey.SignatureAlgorithms[0], "data"u8);
            Assert.True(key.PublicKey.Verify(key.PublicKey.SignatureAlgorithms[0], "data"u8, signature));
        }
    }

    [Theory]
    [InlineData("-t", "ed25519")]
    [InlineData("-t", "rsa", "-b", "2048", "-m", "PEM")]
    [InlineData("-t", "ecdsa", "-m", "PKCS8")]
    public void Key_under_a_passphrase_is_refused_with_a_clear_sentence(params string[] arguments)
    {
        _keygen.Run(["-q", "-N", "secret passphrase", "-f", _keygen.PathOf("k"), .. arguments]);
        Assert.False(SshPrivateKey.TryImport(_keygen.Read("k"), out SshPrivateKey? key, out string? error));
        Assert.Null(key);
        Assert.Contains("passphrase", error, StringComparison.Ordinal);
    }

    [Theory, MemberData(nameof(Types))]
    public void Signatures_are_exchanged_both_ways(string type, string bits)
    {
        Assert.True(SshPrivateKey.TryImport(Generate("k", type, bits), out SshPrivateKey? key, out string? error), error);
        using (key)
        {
            // Theirs, PROTOCOL.sshsig: RSA is signed with rsa-sha2-512.
            string message = _keygen.Write("message", "what is signed");
            _keygen.Run("-q", "-Y", "sign", "-f", _keygen.PathOf("k"), "-n", "relay", message);
            var reader = new SshReader(Convert.FromBase64String(string.Concat(_keygen.Read("message.sig").Split('\n').Where(l => !l.StartsWith('-')))));
            Assert.True(reader.TryReadBytes(6, out _) && reader.TryReadUInt32(out _));
            Assert.True(reader.TryReadString(out ReadOnlySpan<byte> blob));
            Assert.Equal(key.PublicKey.Blob.Span, blob);
            Assert.True(reader.TryReadString(out _) && reader.TryReadString(out _) && reader.TryReadText(20, out string hash) && hash == "sha512");
            Assert.True(reader.TryReadString(out ReadOnlySpan<byte> signature));
            byte[] signed = Signed("what is signed");
            Assert.True(key.PublicKey.Verify(key.PublicKey.SignatureAlgorithms[0], signed, signature));
            Assert.False(key.PublicKey.Verify(key.PublicKey.SignatureAlgorithms[0], Signed("what is not signed"), signature));

            // Ours.
            foreach (string algorithm in key.PublicKey.SignatureAlgorithms)
            {
                using var armored = new SshWriter();
                armored.WriteBytes("SSHSIG"u8);
                armored.WriteUInt32(1);
                armored.WriteString(key.PublicKey.Blob.Span);
                armored.WriteString("relay");
                armored.WriteString("");
                armored.WriteString("sha512");
                armored.WriteString(key.Sign(algorithm, signed));
                string text = Convert.ToBase64String(armored.WrittenSpan, Base64FormattingOptions.InsertLineBreaks).ReplaceLineEndings("\n");
                string file = _keygen.Write("ours.sig", $"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n");
                string said = _keygen.RunProgram("ssh-keygen", "what is signed", "-Y", "check-novalidate", "-n", "relay", "-s", file);
                Assert.Contains("Good \"relay\" signature", said, StringComparison.Ordinal);
            }
        }
    }

    public void Dispose() => _keygen.Dispose();

    private static byte[] Signed(string message)
    {
        using var writer = new SshWriter();
        writer.WriteBytes("SSHSIG"u8);
        writer.WriteString("relay");
        writer.WriteString("");
        writer.WriteString("sha512");
        writer.WriteString(SHA512.HashData(Encoding.UTF8.GetBytes(message)));
        return writer.ToArray();
    }

    private string Generate(string name, string type, string bits, params string[] more) =>
        _keygen.Generate(name, bits.Length == 0 ? ["-t", type, .. more] : ["-t", type, "-b", bits, .. more]);
}
