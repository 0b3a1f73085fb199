using System.Net;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>Which keys are somebody's.</summary>
public sealed class IdentifyTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private readonly TestSilo _silo = fixture.Silo;

    [Fact]
    public async Task A_certificate_of_the_organizations_user_ca_is_the_user_it_names()
    {
        var user = await _silo.AddUserAsync();
        var answer = await _silo.Gateway().IdentifyAsync(_silo.Certificate(user).Blob);
        Assert.True(answer.Known);
        Assert.Equal(user, answer.Identity!.UserId);
        Assert.Equal(_silo.OrganizationId, answer.Identity.OrganizationId);
        Assert.Equal("certificate", answer.Identity.CredentialKind);
        Assert.NotNull(answer.Identity.ValidBefore);
    }

    // L4: a key that is offered says only that it is worth signing with.
    [Fact]
    public async Task Before_the_proof_no_identity_is_given_out()
    {
        var user = await _silo.AddUserAsync();
        var answer = await _silo.Gateway().IdentifyAsync(_silo.Certificate(user).Blob, proven: false);
        Assert.True(answer.Known);
        Assert.Null(answer.Identity);
    }

    [Fact]
    public async Task A_registered_key_is_its_owner_until_it_is_removed()
    {
        var user = await _silo.AddUserAsync();
        using var key = SshPrivateKey.Generate(SshKeyKind.EcdsaP256);
        var gateway = _silo.Gateway();
        Assert.False((await gateway.IdentifyAsync(key.PublicKey.Blob)).Known);

        await _silo.ApplyAsync(
            "INSERT INTO user_ssh_key (key_id, user_id, fingerprint, public_key) VALUES (gen_random_uuid(), @user, @fingerprint, @line)",
            new { user, fingerprint = key.PublicKey.Fingerprint, line = key.PublicKey.ToLine() });
        var answer = await gateway.IdentifyAsync(key.PublicKey.Blob);
        Assert.Equal(user, answer.Identity!.UserId);
        Assert.Equal(("key", key.PublicKey.Fingerprint), (answer.Identity.CredentialKind, answer.Identity.CredentialId));

        await _silo.ApplyAsync("DELETE FROM user_ssh_key WHERE user_id = @user", new { user });
        Assert.False((await gateway.IdentifyAsync(key.PublicKey.Blob)).Known);
    }

    [Fact]
    public async Task A_source_address_holds()
    {
        var certificate = _silo.Certificate(await _silo.AddUserAsync(), source: "198.51.100.0/24");
        var gateway = _silo.Gateway();
        Assert.True((await gateway.IdentifyAsync(certificate.Blob, ip: "198.51.100.7")).Known);
        Assert.True((await gateway.IdentifyAsync(certificate.Blob, ip: "::ffff:198.51.100.7")).Known);
        var refused = await gateway.IdentifyAsync(certificate.Blob, ip: "192.0.2.1");
        Assert.False(refused.Known);
        Assert.Contains("address", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("expired", "expired")]
    [InlineData("future", "not valid yet")]
    [InlineData("two principals", "exactly one user")]
    [InlineData("no principal", "exactly one user")]
    [InlineData("e-mail as principal", "exactly one user")]
    [InlineData("unknown user", "does not exist")]
    [InlineData("host certificate", "does not hold")]
    [InlineData("critical option", "critical option")]
    [InlineData("force-command", "force-command")]
    public async Task A_certificate_that_does_not_hold_is_nobody_and_its_holder_is_told_why(string flaw, string words)
    {
        var user = await _silo.AddUserAsync();
        using var ca = await _silo.UserCaAsync();
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var now = TimeProvider.System.GetUtcNow();
        var builder = new SshCertificateBuilder
        {
            Key = key.PublicKey,
            Kind = flaw == "host certificate" ? SshCertificateKind.Host : SshCertificateKind.User,
            ValidAfter = flaw == "future" ? now.AddHours(1) : now.AddHours(-2),
            ValidBefore = flaw == "expired" ? now.AddHours(-1) : now.AddHours(2),
        };
        if (flaw != "no principal")
            builder.Principals.Add(flaw switch { "unknown user" => Guid.NewGuid().ToString("D"), "e-mail as principal" => "admin@relay.local", _ => user.ToString("D") });
        if (flaw == "two principals")
            builder.Principals.Add(_silo.AdministratorId.ToString("D"));
        if (flaw == "critical option")
            builder.SetCriticalOption("no-such-option@example.com", "x");
        if (flaw == "force-command")
            builder.SetCriticalOption("force-command", "/bin/true");
        var answer = await _silo.Gateway().IdentifyAsync(builder.Sign(ca).Blob);
        Assert.False(answer.Known);
        Assert.Null(answer.Identity);
        Assert.Contains(words, answer.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_certificate_by_any_other_key_is_nobody()
    {
        using var ca = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var builder = new SshCertificateBuilder { Key = key.PublicKey, Kind = SshCertificateKind.User, ValidBefore = DateTimeOffset.MaxValue };
        builder.Principals.Add(_silo.AdministratorId.ToString("D"));
        var answer = await _silo.Gateway().IdentifyAsync(builder.Sign(ca).Blob);
        Assert.Equal((false, null), (answer.Known, answer.Message));

        // Nor by the organization's other CA, the one that targets trust.
        using var upstream = _silo.Authorities.IssueUpstreamCredential(_silo.OrganizationId, "x", Guid.NewGuid(), TimeSpan.FromMinutes(1));
        Assert.False((await _silo.Gateway().IdentifyAsync(upstream.Certificate.Blob)).Known);
    }

    [Fact]
    public async Task A_user_that_is_gone_is_nobody()
    {
        var user = await _silo.AddUserAsync();
        var certificate = _silo.Certificate(user);
        await _silo.ApplyAsync("DELETE FROM app_user WHERE user_id = @user", new { user });
        Assert.False((await _silo.Gateway().IdentifyAsync(certificate.Blob)).Known);
    }

    [Theory]
    [InlineData("AAAA", "192.0.2.1", HttpStatusCode.OK)]
    [InlineData("not base64!", "192.0.2.1", HttpStatusCode.BadRequest)]
    [InlineData("AAAA", "somewhere", HttpStatusCode.BadRequest)]
    [InlineData("AAAA", null, HttpStatusCode.BadRequest)]
    [InlineData(null, "192.0.2.1", HttpStatusCode.BadRequest)]
    public async Task What_is_no_key_is_nobody_and_what_is_no_question_is_refused(string? key, string? ip, HttpStatusCode status)
    {
        using var response = await _silo.Gateway().PostAsync(GridRoutes.Identify, new IdentifyRequest(key!, ip!, true), GridJson.Default.IdentifyRequest);
        Assert.Equal(status, response.StatusCode);
    }
}
