using System.Security.Cryptography;
using Relay.Protocol.Crypto;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

/// <summary>FIDO keys; the token is played by a key of ours that signs as PROTOCOL.u2f says.</summary>
public sealed class SecurityKeyTests
{
    private static readonly byte[] Application = "ssh:"u8.ToArray();

    public static TheoryData<string> Types => [SshKeyTypes.SkEd25519, SshKeyTypes.SkEcdsaP256];

    [Theory, MemberData(nameof(Types))]
    public void Touched_token_signs(string type)
    {
        using var token = new Token(type);
        Assert.Equal(type, token.Key.KeyType);
        Assert.Equal([type], token.Key.SignatureAlgorithms);
        Assert.True(token.Key.Verify(type, "data"u8, token.Sign("data"u8, flags: 1, counter: 7)));
        Assert.True(token.Key.Verify(type, "data"u8, token.Sign("data"u8, flags: 5, counter: 7))); // user verified too
        Assert.False(token.Key.Verify(type, "other"u8, token.Sign("data"u8, flags: 1, counter: 7)));
    }

    [Theory, MemberData(nameof(Types))]
    public void L7_signature_without_user_presence_is_refused(string type)
    {
        using var token = new Token(type);
        for (int flags = 0; flags < 256; flags++)
            Assert.Equal((flags & 1) == 1, token.Key.Verify(type, "data"u8, token.Sign("data"u8, (byte)flags, counter: 1)));
    }

    [Theory, MemberData(nameof(Types))]
    public void L7_flags_and_counter_are_part_of_what_is_signed(string type)
    {
        using var token = new Token(type);
        byte[] signature = token.Sign("data"u8, flags: 0, counter: 1);
        signature[^5] = 1; // claims presence afterwards
        Assert.False(token.Key.Verify(type, "data"u8, signature));
        signature = token.Sign("data"u8, flags: 1, counter: 1);
        signature[^1]++;
        Assert.False(token.Key.Verify(type, "data"u8, signature));
        signature = token.Sign("data"u8, flags: 1, counter: 1);
        for (int cut = 1; cut <= 5; cut++) Assert.False(token.Key.Verify(type, "data"u8, signature.AsSpan(0, signature.Length - cut)));
        Assert.False(token.Key.Verify(type, "data"u8, [.. signature, 0]));
    }

    [Theory, MemberData(nameof(Types))]
    public void Signature_for_another_application_is_refused(string type)
    {
        using var token = new Token(type, "https://example.org"u8.ToArray());
        Assert.False(token.Key.Verify(type, "data"u8, token.Sign("data"u8, flags: 1, counter: 1)));
    }

    [Fact]
    public void Token_key_can_be_certified_and_can_not_sign_for_itself_as_plain_ed25519()
    {
        using var token = new Token(SshKeyTypes.SkEd25519);
        SshCertificate certificate = new SshCertificateBuilder
        {
            Key = token.Key,
            Kind = SshCertificateKind.User,
            Principals = { "alice" },
            ValidBefore = DateTimeOffset.MaxValue,
        }.Sign(TestKeys.Ed25519);
        Assert.Equal("sk-ssh-ed25519-cert-v01@openssh.com", certificate.CertificateType);
        Assert.Equal(token.Key, certificate.Key);
        Assert.False(token.Key.Verify(SshKeyTypes.Ed25519, "data"u8, TestKeys.Ed25519.Sign(SshKeyTypes.Ed25519, "data"u8)));
    }

    private sealed class Token : IDisposable
    {
        private readonly string _type;
        private readonly byte[] _signsFor;
        private readonly Ed25519PrivateKey _ed25519 = Ed25519PrivateKey.Generate();
        private readonly ECDsa _ecdsa = ECDsa.Create(ECCurve.NamedCurves.nistP256);

        public Token(string type, byte[]? signsFor = null)
        {
            _type = type;
            _signsFor = signsFor ?? Application;
            ECParameters p = _ecdsa.ExportParameters(false);
            byte[] blob = type == SshKeyTypes.SkEd25519
                ? TestKeys.Blob(type, _ed25519.PublicKey.ToArray(), Application)
                : TestKeys.Blob(type, "nistp256"u8.ToArray(), [4, .. p.Q.X!, .. p.Q.Y!], Application);
            Assert.True(SshPublicKey.TryParse(blob, out SshPublicKey? key, out string? error), error);
            Key = key;
        }

        public SshPublicKey Key { get; }

        public byte[] Sign(ReadOnlySpan<byte> data, byte flags, byte counter)
        {
            byte[] signed = [.. SHA256.HashData(_signsFor), flags, 0, 0, 0, counter, .. SHA256.HashData(data)];
            using var inner = new SshWriter();
            if (_type == SshKeyTypes.SkEd25519)
            {
                inner.WriteBytes(_ed25519.Sign(signed));
            }
            else
            {
                byte[] rs = _ecdsa.SignData(signed, HashAlgorithmName.SHA256);
                inner.WriteMpint(rs.AsSpan(0, 32));
                inner.WriteMpint(rs.AsSpan(32));
            }

            using var writer = new SshWriter();
            writer.WriteString(_type);
            writer.WriteString(inner.WrittenSpan);
            writer.WriteBytes([flags, 0, 0, 0, counter]);
            return writer.ToArray();
        }

        public void Dispose()
        {
            _ed25519.Dispose();
            _ecdsa.Dispose();
        }
    }
}
