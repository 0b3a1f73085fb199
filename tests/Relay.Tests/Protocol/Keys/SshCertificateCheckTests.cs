using System.Net;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

/// <summary>L5: the one place where certificates are checked, each reason on its own.</summary>
public sealed class SshCertificateCheckTests
{
    private static readonly DateTimeOffset Noon = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Default_of_the_verdict_is_not_valid() => Assert.NotEqual(SshCertificateCheck.Valid, default);

    [Fact]
    public void Good_certificate_is_valid() => Assert.Equal(SshCertificateCheck.Valid, Check(Sign()));

    [Fact]
    public void Host_certificate_is_no_user() => Assert.Equal(SshCertificateCheck.WrongKind, Check(Sign(kind: SshCertificateKind.Host)));

    [Fact]
    public void Certificate_of_another_authority_is_untrusted()
    {
        Assert.Equal(SshCertificateCheck.UntrustedAuthority, Check(Sign(authority: TestKeys.Ecdsa)));
        using SshPrivateKey sameKind = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        Assert.Equal(SshCertificateCheck.UntrustedAuthority, Check(Sign(authority: sameKind)));
    }

    [Fact]
    public void Authority_only_named_but_not_signing_is_a_bad_signature()
    {
        // The signed part names the trusted authority; a stranger signs it.
        SshCertificate good = Sign();
        byte[] signed = good.Blob.ToArray()[..good.SignedLength];
        using SshPrivateKey stranger = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        using var writer = new SshWriter();
        writer.WriteBytes(signed);
        writer.WriteString(stranger.Sign("ssh-ed25519", signed));
        Assert.True(SshCertificate.TryParse(writer.WrittenSpan, out SshCertificate? forged, out _));
        Assert.Equal(SshCertificateCheck.BadSignature, Check(forged));
    }

    [Fact]
    public void Dates_count_to_the_second()
    {
        SshCertificate certificate = Sign();
        Assert.Equal(SshCertificateCheck.NotYetValid, Check(certificate, now: Noon.AddTicks(-1)));
        Assert.Equal(SshCertificateCheck.Valid, Check(certificate, now: Noon));
        Assert.Equal(SshCertificateCheck.Valid, Check(certificate, now: Noon.AddMinutes(5).AddTicks(-1)));
        Assert.Equal(SshCertificateCheck.Expired, Check(certificate, now: Noon.AddMinutes(5)));
        Assert.Equal(SshCertificateCheck.Valid, Check(Sign(b => b.ValidBefore = DateTimeOffset.MaxValue), now: DateTimeOffset.MaxValue));
    }

    [Fact]
    public void Principals_are_compared_exactly_and_none_means_nobody()
    {
        SshCertificate certificate = Sign(b => b.Principals.Add("*"));
        Assert.Equal(SshCertificateCheck.Valid, Check(certificate, principal: null));
        foreach (string name in new[] { "Alice", "alice ", "", "bob", "a" }) Assert.Equal(SshCertificateCheck.PrincipalNotListed, Check(certificate, principal: name));
        Assert.Equal(SshCertificateCheck.PrincipalNotListed, Check(Sign(b => b.Principals.Clear())));
    }

    [Theory]
    [InlineData("verify-required")]
    [InlineData("no-such-option")]
    [InlineData("force-command ")]
    public void L5_unknown_critical_option_refuses(string name) =>
        Assert.Equal(SshCertificateCheck.UnknownCriticalOption, Check(Sign(b => b.CriticalOptions[name] = [])));

    [Fact]
    public void L5_host_certificates_have_no_critical_options()
    {
        SshCertificate certificate = Sign(b => b.SetCriticalOption("source-address", "0.0.0.0/0"), SshCertificateKind.Host);
        Assert.Equal(SshCertificateCheck.UnknownCriticalOption,
            certificate.Check(SshCertificateKind.Host, TestKeys.Ed25519.PublicKey, Noon, "alice", IPAddress.Loopback));
    }

    [Fact]
    public void L5_unknown_extension_is_ignored() => Assert.Equal(SshCertificateCheck.Valid, Check(Sign(b => b.AddExtension("login@example.org"))));

    [Theory]
    [InlineData("192.0.2.0/24", "192.0.2.1", true)]
    [InlineData("192.0.2.0/24", "192.0.3.1", false)]
    [InlineData("192.0.2.0/24", "::ffff:192.0.2.1", true)]
    [InlineData("192.0.2.7", "192.0.2.7", true)]
    [InlineData("192.0.2.7", "192.0.2.8", false)]
    [InlineData("10.0.0.0/8,2001:db8::/32", "2001:db8::1", true)]
    [InlineData("10.0.0.0/8,2001:db8::/32", "2001:db9::1", false)]
    [InlineData("0.0.0.0/0", "2001:db8::1", false)]
    [InlineData("0.0.0.0/0", null, false)]
    public void L5_source_address_is_enforced(string list, string? source, bool inside)
    {
        SshCertificate certificate = Sign(b => b.SetCriticalOption("source-address", list));
        SshCertificateCheck expected = inside ? SshCertificateCheck.Valid : SshCertificateCheck.SourceAddressRefused;
        Assert.Equal(expected, Check(certificate, source: source is null ? null : IPAddress.Parse(source)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("192.0.2.0/24,")]
    [InlineData("192.0.2.1/24")] // bits behind the prefix
    [InlineData("192.0.2.0/33")]
    [InlineData("!192.0.2.0/24")]
    [InlineData("everywhere")]
    public void L5_source_address_that_cannot_be_read_refuses(string list) =>
        Assert.Equal(SshCertificateCheck.MalformedCriticalOption, Check(Sign(b => b.SetCriticalOption("source-address", list)), source: IPAddress.Parse("192.0.2.1")));

    [Fact]
    public void L5_option_whose_data_is_no_string_refuses()
    {
        foreach (string name in new[] { "source-address", "force-command" })
            Assert.Equal(SshCertificateCheck.MalformedCriticalOption, Check(Sign(b => b.CriticalOptions[name] = [0, 0, 0, 9, 1])));
    }

    [Fact]
    public void L5_restrictions_add_up()
    {
        SshCertificate certificate = Sign(b => b.SetCriticalOption("force-command", "uptime").SetCriticalOption("source-address", "192.0.2.0/24"));
        Assert.Equal("uptime", certificate.ForceCommand);
        Assert.Equal(SshCertificateCheck.Valid, Check(certificate, source: IPAddress.Parse("192.0.2.1")));
        Assert.Equal(SshCertificateCheck.SourceAddressRefused, Check(certificate, source: IPAddress.Parse("198.51.100.1")));
    }

    // PROTOCOL.certkeys: "lexically ordered by name", "each named option may only appear once".
    [Fact]
    public void Options_out_of_order_or_twice_are_no_certificate()
    {
        foreach (string[] names in new[] { new[] { "permit-pty", "permit-agent-forwarding" }, ["permit-pty", "permit-pty"], [""] })
        {
            SshCertificate good = Sign(b => b.AddExtension("placeholder"));
            using var options = new SshWriter();
            foreach (string name in names)
            {
                options.WriteString(name);
                options.WriteString("");
            }

            Assert.False(SshCertificate.TryParse(ReplaceExtensions(good, options.WrittenSpan), out _, out _));
        }
    }

    private static byte[] ReplaceExtensions(SshCertificate certificate, ReadOnlySpan<byte> options)
    {
        using var before = new SshWriter();
        int mark = before.BeginString();
        before.WriteString("placeholder");
        before.WriteString("");
        before.EndString(mark);
        byte[] blob = certificate.Blob.ToArray();
        int at = blob.AsSpan().IndexOf(before.WrittenSpan);
        Assert.True(at > 0);
        using var writer = new SshWriter();
        writer.WriteBytes(blob.AsSpan(0, at));
        writer.WriteString(options);
        writer.WriteBytes(blob.AsSpan(at + before.Length));
        return writer.ToArray();
    }

    private static SshCertificate Sign(Action<SshCertificateBuilder>? change = null, SshCertificateKind kind = SshCertificateKind.User, SshPrivateKey? authority = null)
    {
        var builder = new SshCertificateBuilder { Key = TestKeys.Ecdsa.PublicKey, Kind = kind, Principals = { "alice" }, ValidAfter = Noon, ValidBefore = Noon.AddMinutes(5) };
        change?.Invoke(builder);
        return builder.Sign(authority ?? TestKeys.Ed25519);
    }

    private static SshCertificateCheck Check(SshCertificate certificate, DateTimeOffset? now = null, string? principal = "alice", IPAddress? source = null) =>
        certificate.Check(SshCertificateKind.User, TestKeys.Ed25519.PublicKey, now ?? Noon, principal, source);
}
