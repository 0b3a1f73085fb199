using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using Dapper;
using Relay.Protocol.Crypto;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tokens;
using Relay.Silo.Authorities;
using Relay.Silo.Storage;
using Relay.Tests.Silo.Api;
using Xunit;

namespace Relay.Tests.Silo.Authorities;

public sealed class GridAuthoritiesTests(ApiHost host) : IClassFixture<ApiHost>
{
    private GridAuthorities Authorities => host.Control.Authorities;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public void A_leaf_names_its_holder_and_only_this_grids_ca_vouches_for_it()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var leaf = Authorities.IssueGridCertificate(new GridPeer(GridRole.Gateway, "gw-1"), new PublicKey(key));
        Assert.True(GridCertificates.TryReadIdentity(leaf, Authorities.GridCa, TimeProvider.System.GetUtcNow(), out var peer));
        Assert.Equal(new GridPeer(GridRole.Gateway, "gw-1"), peer);
        Assert.False(Authorities.GridCa.HasPrivateKey);
    }

    [Fact]
    public async Task A_user_certificate_holds_for_its_user_its_time_and_its_addresses()
    {
        var organization = await OrganizationAsync();
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var user = Guid.NewGuid();
        var certificate = Authorities.SignUserCertificate(organization, user, "a@example.test", key.PublicKey, TimeSpan.FromMinutes(5), "10.0.0.0/8");
        Assert.True(SshPublicKey.TryParseLine(Authorities.UserCaPublic(organization), out var ca, out _, out _));
        var now = TimeProvider.System.GetUtcNow();
        Assert.Equal(SshCertificateCheck.Valid, certificate.Check(SshCertificateKind.User, ca, now, user.ToString("D"), IPAddress.Parse("10.1.2.3")));
        Assert.NotEqual(SshCertificateCheck.Valid, certificate.Check(SshCertificateKind.User, ca, now, user.ToString("D"), IPAddress.Parse("192.0.2.1")));
        Assert.NotEqual(SshCertificateCheck.Valid, certificate.Check(SshCertificateKind.User, ca, now, Guid.NewGuid().ToString("D"), IPAddress.Parse("10.1.2.3")));
        Assert.NotEqual(SshCertificateCheck.Valid, certificate.Check(SshCertificateKind.User, ca, now.AddMinutes(6), user.ToString("D"), IPAddress.Parse("10.1.2.3")));
        Assert.True(SshPublicKey.TryParseLine(Authorities.SshCaPublic(organization), out var other, out _, out _));
        Assert.NotEqual(SshCertificateCheck.Valid, certificate.Check(SshCertificateKind.User, other, now, user.ToString("D"), IPAddress.Parse("10.1.2.3")));
        Assert.Equal("a@example.test", certificate.KeyId);
    }

    [Fact]
    public async Task An_upstream_credential_is_what_a_stock_sshd_is_told_to_trust()
    {
        var organization = await OrganizationAsync();
        using var credential = Authorities.IssueUpstreamCredential(organization, "a@example.test", Guid.NewGuid(), TimeSpan.FromMinutes(5));
        Assert.Equal(["relay_ssh_signed"], credential.Certificate.Principals);
        Assert.Equal("a@example.test", credential.Certificate.KeyId);
        Assert.Empty(credential.Certificate.CriticalOptions);
        Assert.Equal(["permit-agent-forwarding", "permit-port-forwarding", "permit-pty"], credential.Certificate.Extensions.Keys.Order(StringComparer.Ordinal));
        Assert.True(SshPublicKey.TryParseLine(Authorities.SshCaPublic(organization), out var ca, out _, out _));
        Assert.Equal("ecdsa-sha2-nistp256", ca.KeyType);
        Assert.Equal(SshCertificateCheck.Valid, credential.Certificate.Check(SshCertificateKind.User, ca, TimeProvider.System.GetUtcNow(), "relay_ssh_signed", null));
        Assert.Equal(credential.Key.PublicKey.Blob.ToArray(), credential.Certificate.Key.Blob.ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => Authorities.IssueUpstreamCredential(organization, "a", Guid.NewGuid(), TimeSpan.FromHours(1)));
    }

    [Fact]
    public void Tokens_are_good_for_one_use_and_one_grid()
    {
        var token = Authorities.MintConnectorToken(Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid(), ["silo:7444"], null);
        Assert.True(Authorities.TryVerifyToken(token, TokenTypes.Connector, out _));
        Assert.False(Authorities.TryVerifyToken(token, TokenTypes.User, out _));
        Assert.False(Authorities.TryVerifyToken(token, TokenTypes.Gateway, out _));
        Assert.True(JsonWebToken.TryParse(token, out var parsed));
        Assert.Equal(GridCertificates.AuthorityPin(Authorities.GridCa), parsed.GridCaHash);
        Assert.Equal(["silo:7444"], parsed.Silos);
        Assert.Null(parsed.ExpiresAt);
    }

    [Fact]
    public void A_token_signed_by_another_key_is_foreign_even_with_our_name_in_it()
    {
        using var other = Ed25519PrivateKey.Generate();
        var forged = JsonWebToken.Create(other, new JsonObject
        {
            ["iss"] = Authorities.GridId.ToString("D"),
            ["type"] = "gateway",
            ["jti"] = Guid.NewGuid().ToString("D"),
            ["iat"] = 1_700_000_000,
        });
        Assert.Equal(TokenVerdict.Unknown, Authorities.Verify(forged, TokenTypes.Gateway, out var verified));
        Assert.Null(verified);
    }

    [Fact]
    public void An_expired_token_is_told_from_a_foreign_one()
    {
        var token = Authorities.MintGatewayToken(Guid.NewGuid(), [], TimeProvider.System.GetUtcNow().AddSeconds(-1));
        Assert.Equal(TokenVerdict.Expired, Authorities.Verify(token, TokenTypes.Gateway, out var verified));
        Assert.NotNull(verified);
        Assert.False(Authorities.TryVerifyToken(token, TokenTypes.Gateway, out _));
    }

    [Fact]
    public async Task A_connectors_token_is_valid_until_it_is_revoked_expires_or_its_connector_goes()
    {
        var tokens = new TokenStore(host.Database.DataSource, Authorities);
        var name = host.Unique("states");
        var connector = (await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = name })).Json["connector_id"]!.GetValue<Guid>();
        var first = (await host.Admin.PostAsync($"/connectors/{name}/tokens")).Json;
        var second = (await host.Admin.PostAsync($"/connectors/{name}/tokens")).Json;
        var token = first["token"]!.GetValue<string>();

        var good = await tokens.CheckAsync(token, Cancel);
        Assert.Equal((ConnectorTokenState.Valid, connector, name, "default"), (good.State, good.ConnectorId, good.ConnectorName, good.OrganizationName));
        var listed = await host.Admin.GetAsync($"/connectors/{name}/tokens");
        Assert.NotNull(listed.Json["list"]!.AsArray().Single(t => t!["id"]!.GetValue<Guid>() == first["id"]!.GetValue<Guid>())!["last_used_at"]);

        await host.Admin.DeleteAsync($"/connector_tokens/{first["id"]}");
        Assert.Equal(ConnectorTokenState.Revoked, (await tokens.CheckAsync(token, Cancel)).State);
        Assert.Equal(ConnectorTokenState.Valid, (await tokens.CheckAsync(second["token"]!.GetValue<string>(), Cancel)).State);

        await using (var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel))
            await connection.ExecuteAsync("UPDATE connector_token SET expires_at = now() WHERE token_id = @id", new { id = second["id"]!.GetValue<Guid>() });
        Assert.Equal(ConnectorTokenState.Expired, (await tokens.CheckAsync(second["token"]!.GetValue<string>(), Cancel)).State);

        await host.Admin.DeleteAsync($"/connectors/{name}");
        Assert.Equal(ConnectorTokenState.ConnectorDeleted, (await tokens.CheckAsync(token, Cancel)).State);
        Assert.Equal(ConnectorTokenState.Unknown, (await tokens.CheckAsync("no.token.at.all", Cancel)).State);
        Assert.Equal(ConnectorTokenState.Unknown, (await tokens.CheckAsync(host.Admin.Token!, Cancel)).State);
    }

    private async Task<Guid> OrganizationAsync() => (await host.Admin.GetAsync("/organization")).Json["organization_id"]!.GetValue<Guid>();
}
