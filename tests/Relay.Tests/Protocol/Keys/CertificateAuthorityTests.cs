using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

/// <summary>L21: a CA key is a plain key; the chain is key, certificate, authority, and nothing else.</summary>
public sealed class CertificateAuthorityTests
{
    private static readonly DateTimeOffset Noon = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void L21_certificate_signed_by_a_certificate_is_refused()
    {
        // The intermediate is perfectly valid for its own key, and that key signs a leaf that names the whole
        // intermediate certificate as its signer.
        SshCertificate intermediate = Sign(TestKeys.Ecdsa.PublicKey, TestKeys.Ed25519);
        Assert.Equal(SshCertificateCheck.Valid, intermediate.Check(SshCertificateKind.User, TestKeys.Ed25519.PublicKey, Noon, "alice", null));
        byte[] leaf = WithSigner(Sign(TestKeys.Rsa.PublicKey, TestKeys.Ecdsa), intermediate.Blob.ToArray(), TestKeys.Ecdsa);
        Assert.False(SshCertificate.TryParse(leaf, out SshCertificate? certificate, out string? error));
        Assert.Null(certificate);
        Assert.Contains("certificate", error, StringComparison.Ordinal);
    }

    [Fact]
    public void L21_holder_of_a_certificate_is_no_authority()
    {
        // The leaf names the intermediate's plain key: well-formed, properly signed, and by nobody we trust.
        SshCertificate leaf = Sign(TestKeys.Rsa.PublicKey, TestKeys.Ecdsa);
        Assert.Equal(SshCertificateCheck.UntrustedAuthority, leaf.Check(SshCertificateKind.User, TestKeys.Ed25519.PublicKey, Noon, "alice", null));
    }

    [Fact]
    public void L21_certified_key_inside_a_certificate_is_a_plain_key()
    {
        // The type's name says "certificate of a certificate": there is no such type.
        SshCertificate inner = Sign(TestKeys.Ecdsa.PublicKey, TestKeys.Ed25519);
        byte[] nested = TestKeys.Blob("ecdsa-sha2-nistp256-cert-v01@openssh.com-cert-v01@openssh.com", new byte[32], inner.Blob.ToArray());
        Assert.False(SshCertificate.TryParse(nested, out _, out _));
        nested = TestKeys.Blob(SshKeyTypes.ToCertificate(SshKeyTypes.Ed25519), new byte[32], inner.Blob.ToArray());
        Assert.False(SshCertificate.TryParse(nested, out _, out _));
    }

    [Fact]
    public void L21_certificate_is_not_taken_where_an_authority_is_configured()
    {
        SshCertificate certificate = Sign(TestKeys.Ecdsa.PublicKey, TestKeys.Ed25519);
        Assert.False(SshPublicKey.TryParseLine(certificate.ToLine("ca"), out SshPublicKey? authority, out _, out string? error));
        Assert.Null(authority);
        Assert.Contains("certificate", error, StringComparison.Ordinal);
    }

    [Fact]
    public void L21_authority_that_signs_its_own_key_is_only_an_authority()
    {
        SshCertificate self = Sign(TestKeys.Ed25519.PublicKey, TestKeys.Ed25519);
        Assert.Equal(SshCertificateCheck.Valid, self.Check(SshCertificateKind.User, TestKeys.Ed25519.PublicKey, Noon, "alice", null));
        Assert.Equal(SshCertificateCheck.UntrustedAuthority, self.Check(SshCertificateKind.User, TestKeys.Ecdsa.PublicKey, Noon, "alice", null));
    }

    private static SshCertificate Sign(SshPublicKey key, SshPrivateKey authority) => new SshCertificateBuilder
    {
        Key = key,
        Kind = SshCertificateKind.User,
        Principals = { "alice" },
        ValidBefore = Noon.AddHours(1),
    }.Sign(authority);

    private static byte[] WithSigner(SshCertificate certificate, byte[] signer, SshPrivateKey signs)
    {
        int signerField = 4 + certificate.SignatureKey.Blob.Length;
        using var writer = new SshWriter();
        writer.WriteBytes(certificate.Blob.Span[..(certificate.SignedLength - signerField)]);
        writer.WriteString(signer);
        writer.WriteString(signs.Sign(signs.PublicKey.SignatureAlgorithms[0], writer.WrittenSpan));
        return writer.ToArray();
    }
}
