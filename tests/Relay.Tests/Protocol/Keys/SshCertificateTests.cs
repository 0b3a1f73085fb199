using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

/// <summary>The certificate's form, against ssh-keygen in both directions.</summary>
public sealed class SshCertificateTests : IDisposable
{
    private static readonly DateTimeOffset Noon = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    private readonly SshKeygen _keygen = new();

    public static TheoryData<string, string> KeyAndAuthority => new()
    {
        { "ed25519", "ed25519" },
        { "ed25519", "ecdsa" },
        { "ecdsa", "rsa" },
        { "rsa", "ed25519" },
        { "rsa", "rsa" },
    };

    public static TheoryData<SshKeyKind> Kinds => TestKeys.Kinds;

    [Theory, MemberData(nameof(KeyAndAuthority))]
    public void Certificate_signed_by_ssh_keygen_is_read_and_valid(string type, string authorityType)
    {
        _keygen.Generate("ca", "-t", authorityType);
        _keygen.Generate("k", "-t", type);
        _keygen.Run(
            "-q", "-s", _keygen.PathOf("ca"), "-I", "alice@example.org", "-n", "alice,ops", "-z", "42", "-V", "20260601000000Z:20260602000000Z",
            "-O", "source-address=192.0.2.0/24,2001:db8::/32", "-O", "force-command=/bin/true \"x\"", "-O", "no-x11-forwarding", _keygen.PathOf("k.pub"));
        Assert.True(SshCertificate.TryParseLine(_keygen.Read("k-cert.pub"), out SshCertificate? certificate, out _, out string? error), error);
        Assert.True(SshPublicKey.TryParseLine(_keygen.Read("ca.pub"), out SshPublicKey? authority, out _, out _));
        Assert.True(SshPublicKey.TryParseLine(_keygen.Read("k.pub"), out SshPublicKey? key, out _, out _));

        Assert.Equal(key, certificate.Key);
        Assert.Equal(authority, certificate.SignatureKey);
        Assert.Equal(SshCertificateKind.User, certificate.Kind);
        Assert.Equal(42UL, certificate.Serial);
        Assert.Equal("alice@example.org", certificate.KeyId);
        Assert.Equal(["alice", "ops"], certificate.Principals);
        Assert.Equal(new DateTimeOffset(2026, 6, 1, 0, 0, 0, TimeSpan.Zero), certificate.ValidAfter);
        Assert.Equal(new DateTimeOffset(2026, 6, 2, 0, 0, 0, TimeSpan.Zero), certificate.ValidBefore);
        Assert.Equal(["force-command", "source-address"], certificate.CriticalOptions.Keys.Order());
        Assert.Equal("/bin/true \"x\"", certificate.ForceCommand);
        Assert.Equal(["permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty", "permit-user-rc"],
            certificate.Extensions.Keys.Append("permit-X11-forwarding").Order(StringComparer.Ordinal));
        Assert.Equal(SshCertificateCheck.Valid, certificate.Check(SshCertificateKind.User, authority, Noon, "ops", System.Net.IPAddress.Parse("192.0.2.9")));
        Assert.Equal(_keygen.Read("k-cert.pub").Trim(), certificate.ToLine("made by ssh-keygen"));
    }

    [Fact]
    public void Host_certificate_of_ssh_keygen_is_for_hosts()
    {
        _keygen.Generate("ca", "-t", "ed25519");
        _keygen.Generate("k", "-t", "ed25519");
        _keygen.Run("-q", "-s", _keygen.PathOf("ca"), "-I", "db", "-h", "-n", "db.example.org,*.internal", _keygen.PathOf("k.pub"));
        Assert.True(SshCertificate.TryParseLine(_keygen.Read("k-cert.pub"), out SshCertificate? certificate, out _, out string? error), error);
        Assert.Equal(DateTimeOffset.UnixEpoch, certificate.ValidAfter);
        Assert.Equal(DateTimeOffset.MaxValue, certificate.ValidBefore);
        SshCertificateCheck Check(SshCertificateKind kind, string name) => certificate.Check(kind, certificate.SignatureKey, Noon, name, null);
        Assert.Equal(SshCertificateCheck.Valid, Check(SshCertificateKind.Host, "db.example.org"));
        Assert.Equal(SshCertificateCheck.Valid, Check(SshCertificateKind.Host, "a.internal"));
        Assert.Equal(SshCertificateCheck.PrincipalNotListed, Check(SshCertificateKind.Host, "internal"));
        Assert.Equal(SshCertificateCheck.PrincipalNotListed, Check(SshCertificateKind.Host, "xdb.example.org"));
        Assert.Equal(SshCertificateCheck.WrongKind, Check(SshCertificateKind.User, "db.example.org"));
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Certificate_signed_by_us_is_read_by_ssh_keygen(SshKeyKind authority)
    {
        SshCertificateBuilder builder = new()
        {
            Key = TestKeys.Ecdsa.PublicKey,
            Kind = SshCertificateKind.User,
            Serial = 7,
            KeyId = "alice@example.org",
            Principals = { "relay_ssh_signed", "second" },
            ValidAfter = Noon,
            ValidBefore = Noon.AddMinutes(5),
        };
        builder.AddExtension("permit-pty").AddExtension("permit-agent-forwarding").SetCriticalOption("source-address", "192.0.2.0/24");
        SshCertificate certificate = builder.Sign(TestKeys.Of(authority));
        _keygen.Write("ours-cert.pub", certificate.ToLine("c") + "\n");
        string[] said = [.. _keygen.Run("-L", "-f", _keygen.PathOf("ours-cert.pub")).Split('\n').Select(l => l.Trim())];
        Assert.Contains("Type: ecdsa-sha2-nistp256-cert-v01@openssh.com user certificate", said);
        Assert.Contains($"Public key: ECDSA-CERT {TestKeys.Ecdsa.PublicKey.Fingerprint}", said);
        Assert.Contains(said, l => l.StartsWith("Signing CA:", StringComparison.Ordinal) && l.Contains(TestKeys.Of(authority).PublicKey.Fingerprint, StringComparison.Ordinal));
        Assert.Contains("Key ID: \"alice@example.org\"", said);
        Assert.Contains("Serial: 7", said);
        Assert.Contains("Valid: from 2026-06-01T12:00:00 to 2026-06-01T12:05:00", said);
        Assert.Contains("relay_ssh_signed", said);
        Assert.Contains("source-address 192.0.2.0/24", said);
        Assert.Contains("permit-pty", said);
        Assert.Contains("permit-agent-forwarding", said);
    }

    [Fact]
    public void Every_changed_byte_makes_a_certificate_invalid()
    {
        SshCertificate good = SomeCertificate();
        byte[] blob = good.Blob.ToArray();
        for (int i = 0; i < blob.Length; i++)
        {
            byte[] bad = [.. blob];
            bad[i] ^= 0x01;
            bool valid = SshCertificate.TryParse(bad, out SshCertificate? certificate, out _)
                && certificate.Check(SshCertificateKind.User, good.SignatureKey, Noon, "alice", null) == SshCertificateCheck.Valid;
            Assert.False(valid, $"byte {i}");
            Assert.False(SshCertificate.TryParse(blob.AsSpan(0, i), out _, out _));
        }

        Assert.False(SshCertificate.TryParse([.. blob, 0], out _, out _));
    }

    [Fact]
    public void Two_certificates_of_the_same_fields_differ_by_their_nonce() =>
        Assert.NotEqual(SomeCertificate().Blob.ToArray(), SomeCertificate().Blob.ToArray());

    [Fact]
    public void Plain_keys_and_certificates_are_not_taken_for_one_another()
    {
        Assert.False(SshCertificate.TryParse(TestKeys.Ed25519.PublicKey.Blob.Span, out _, out string? error));
        Assert.Contains("plain key", error, StringComparison.Ordinal);
        Assert.False(SshPublicKey.TryParse(SomeCertificate().Blob.Span, out _, out error));
        Assert.Contains("certificate", error, StringComparison.Ordinal);
        Assert.False(SshPublicKey.TryParseLine(SomeCertificate().ToLine(), out _, out _, out error));
        Assert.Contains("certificate", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Builder_refuses_what_could_not_be_read_back()
    {
        SshCertificateBuilder builder = new() { Key = TestKeys.Ed25519.PublicKey, Kind = SshCertificateKind.User, ValidBefore = Noon, KeyId = new string('k', 1025) };
        Assert.Throws<InvalidOperationException>(() => builder.Sign(TestKeys.Ed25519));
        builder.KeyId = "";
        builder.Principals.Add("");
        Assert.Throws<InvalidOperationException>(() => builder.Sign(TestKeys.Ed25519));
    }

    public void Dispose() => _keygen.Dispose();

    private static SshCertificate SomeCertificate() => new SshCertificateBuilder
    {
        Key = TestKeys.Ecdsa.PublicKey,
        Kind = SshCertificateKind.User,
        Principals = { "alice" },
        ValidBefore = Noon.AddHours(1),
    }.AddExtension("permit-pty").Sign(TestKeys.Ed25519);
}
