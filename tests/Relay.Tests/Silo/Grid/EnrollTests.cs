using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Relay.Protocol.Grid;
using Relay.Silo.Storage;
using Relay.Tests.Silo.Sessions;

namespace Relay.Tests.Silo.Grid;

/// <summary>How a gateway gets its certificate.</summary>
public sealed class EnrollTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private readonly TestSilo _silo = fixture.Silo;

    [Fact]
    public async Task A_token_gives_a_certificate_that_opens_the_gateways_routes()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var answer = await _silo.Stranger().AskAsync(GridRoutes.Enroll, await RequestAsync(key), GridJson.Default.EnrollRequest, GridJson.Default.EnrollResponse);
        using var ca = X509Certificate2.CreateFromPem(answer.CaCertificate);
        Assert.Equal(_silo.Authorities.GridCa.RawData, ca.RawData);
        using var leaf = X509Certificate2.CreateFromPem(answer.Certificate);
        Assert.True(GridCertificates.TryReadIdentity(leaf, ca, TimeProvider.System.GetUtcNow(), out var peer));
        Assert.Equal(new GridPeer(GridRole.Gateway, "gw-7"), peer);

        var gateway = _silo.Track(new TestPeer(_silo.Host.GridAddress, ca, TestPeer.WithKey(leaf, key)));
        var welcome = await gateway.AskAsync(GridRoutes.Hello, new GatewayHello("gw-7", "0.1", "127.0.0.1:2222"), GridJson.Default.GatewayHello, GridJson.Default.GatewayWelcome);
        Assert.Contains(_silo.Host.GridAddress, welcome.Silos);
        Assert.StartsWith("-----BEGIN OPENSSH PRIVATE KEY-----", welcome.SshHostKey, StringComparison.Ordinal);
        Assert.Equal("127.0.0.1:2222", await _silo.QueryAsync<string>("SELECT ssh_address FROM gateway WHERE name = 'gw-7'"));

        using var wrong = await gateway.PostAsync(GridRoutes.Hello, new GatewayHello("gw-8", "0.1", "127.0.0.1:2222"), GridJson.Default.GatewayHello);
        Assert.Equal(HttpStatusCode.Forbidden, wrong.StatusCode);
    }

    [Fact]
    public async Task A_gateway_is_listed_while_it_listens()
    {
        var gateway = _silo.Gateway("gw-listed");
        await gateway.AskAsync(GridRoutes.Hello, new GatewayHello("gw-listed", "0.1", "127.0.0.1:2222"), GridJson.Default.GatewayHello, GridJson.Default.GatewayWelcome);
        using (await gateway.ControlAsync())
            Assert.Contains(await ListedAsync(), g => g == "gw-listed");
        await Eventually.TrueAsync(async () => !(await ListedAsync()).Contains("gw-listed"), "the gateway is not listed");
        await gateway.AskAsync(GridRoutes.Hello, new GatewayHello("gw-listed", "0.1", "127.0.0.1:2222"), GridJson.Default.GatewayHello, GridJson.Default.GatewayWelcome);
        Assert.Contains(await ListedAsync(), g => g == "gw-listed");

        async Task<List<string>> ListedAsync() => [.. (await _silo.Get<SiloDirectory>().GatewaysAsync(TestContext.Current.CancellationToken)).Select(g => g.Name)];
    }

    [Fact]
    public async Task The_token_in_the_state_folder_enrols()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var token = (await File.ReadAllTextAsync(Path.Combine(_silo.Get<Relay.Silo.Hosting.SiloOptions>().StateDirectory, "gateway.token"), TestContext.Current.CancellationToken)).Trim();
        var answer = await _silo.Stranger().AskAsync(
            GridRoutes.Enroll, new EnrollRequest(token, "gw-0", GridCertificates.CreateSigningRequest(key)), GridJson.Default.EnrollRequest, GridJson.Default.EnrollResponse);
        Assert.StartsWith("-----BEGIN CERTIFICATE-----", answer.Certificate, StringComparison.Ordinal);
    }

    // A gateway's name is its place: another token must not get there while the first one's lives.
    [Fact]
    public async Task A_name_stays_with_its_token_until_that_is_revoked()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var first = await RequestAsync(key, "team-a") with { Name = "gw-place" };
        Assert.Equal(HttpStatusCode.OK, await EnrolAsync(first));
        // A restart, and one on a new machine: the same token, another key.
        using var second = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        Assert.Equal(HttpStatusCode.OK, await EnrolAsync(first with { CertificateSigningRequest = GridCertificates.CreateSigningRequest(second) }));
        // Rotation: a second token of the same name.
        Assert.Equal(HttpStatusCode.OK, await EnrolAsync(await RequestAsync(key, "team-a") with { Name = "gw-place" }));

        var other = await RequestAsync(key, "team-b") with { Name = "gw-place" };
        Assert.Equal("name_taken", await RefusalAsync(other, HttpStatusCode.Conflict));
        await _silo.WriteAsync("UPDATE gateway_token SET revoked_at = now() WHERE name = 'team-a'");
        Assert.Equal(HttpStatusCode.OK, await EnrolAsync(other));

        async Task<HttpStatusCode> EnrolAsync(EnrollRequest request)
        {
            using var response = await _silo.Stranger().PostAsync(GridRoutes.Enroll, request, GridJson.Default.EnrollRequest);
            return response.StatusCode;
        }
    }

    // A certificate lives for days: what it was given for may end before.
    [Fact]
    public async Task A_gateway_whose_token_is_revoked_is_cut_off_at_once_and_comes_back_with_another()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var former = await EnrolledAsync("cut-a");
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-cut");
        using var control = await scene.Gateway.ControlAsync(scene.Session);
        var bystander = await LiveSessionScene.OpenAsync(_silo, "gw-stays");
        using var hears = await bystander.Gateway.ControlAsync(bystander.Session);

        // One of two: a rotation.
        await _silo.Get<TokenStore>().CreateGatewayTokenAsync("cut-a", [], TestContext.Current.CancellationToken);
        await _silo.WriteAsync("UPDATE gateway_token SET revoked_at = now() WHERE token_id = (SELECT min(token_id::text)::uuid FROM gateway_token WHERE name = 'cut-a')");
        Assert.Equal(HttpStatusCode.OK, (await HelloAsync(former)).Status);

        await _silo.WriteAsync("UPDATE gateway_token SET revoked_at = now() WHERE name = 'cut-a' AND revoked_at IS NULL");
        Assert.Equal("access revoked: the gateway's token was revoked", await scene.OrderToEndAsync(control));
        Assert.Null(await control.NextOrderAsync());
        await scene.EndedAsync();
        Assert.Equal("access revoked: the gateway's token was revoked", await scene.OutcomeAsync());
        Assert.Equal((HttpStatusCode.Forbidden, "gateway_revoked"), await HelloAsync(former));
        Assert.Equal((HttpStatusCode.Forbidden, "gateway_revoked"), await HelloAsync(scene.Gateway));

        var another = await EnrolledAsync("cut-b");
        Assert.Equal(HttpStatusCode.OK, (await HelloAsync(another)).Status);
        Assert.Equal((HttpStatusCode.Forbidden, "gateway_revoked"), await HelloAsync(former));
        Assert.Equal("", await bystander.OutcomeAsync());

        async Task<TestPeer> EnrolledAsync(string token)
        {
            var answer = await _silo.Stranger().AskAsync(GridRoutes.Enroll, await RequestAsync(key, token) with { Name = "gw-cut" }, GridJson.Default.EnrollRequest, GridJson.Default.EnrollResponse);
            var ca = X509Certificate2.CreateFromPem(answer.CaCertificate);
            using var leaf = X509Certificate2.CreateFromPem(answer.Certificate);
            return _silo.Track(new TestPeer(_silo.Host.GridAddress, ca, TestPeer.WithKey(leaf, key)));
        }

        static async Task<(HttpStatusCode Status, string? Code)> HelloAsync(TestPeer gateway)
        {
            using var response = await gateway.PostAsync(GridRoutes.Hello, new GatewayHello("gw-cut", "0.1", "127.0.0.1:2222"), GridJson.Default.GatewayHello);
            return (response.StatusCode, response.IsSuccessStatusCode ? null : await CodeAsync(response));
        }
    }

    [Theory]
    [InlineData("no.such.token")]
    [InlineData("")]
    [InlineData("revoked")]
    [InlineData("unknown row")]
    [InlineData("connector's")]
    public async Task A_token_that_does_not_hold_gives_nothing(string token)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = await RequestAsync(key);
        switch (token)
        {
            case "revoked":
                await _silo.WriteAsync("UPDATE gateway_token SET revoked_at = now() WHERE name = @name", new { name = request.Name });
                break;
            case "unknown row":
                request = request with { Token = _silo.Authorities.MintGatewayToken(Guid.NewGuid(), [], null) };
                break;
            case "connector's":
                request = request with { Token = _silo.Authorities.MintConnectorToken(_silo.OrganizationId, Guid.NewGuid(), Guid.NewGuid(), [], null) };
                break;
            default:
                request = request with { Token = token };
                break;
        }

        Assert.Equal("token_invalid", await RefusalAsync(request, HttpStatusCode.Unauthorized));
    }

    [Theory]
    [InlineData("")]
    [InlineData("Gateway")]
    [InlineData("gw/1")]
    [InlineData("gw 1")]
    public async Task A_name_that_no_certificate_may_have_is_refused(string name)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        Assert.Equal("bad_name", await RefusalAsync(await RequestAsync(key) with { Name = name }, HttpStatusCode.BadRequest));
    }

    [Fact]
    public async Task A_request_for_a_key_the_sender_does_not_have_is_refused()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = await RequestAsync(key);
        var der = Convert.FromBase64String(string.Concat(request.CertificateSigningRequest.Split('\n').Where(l => !l.StartsWith('-'))));
        der[^2] ^= 1;
        Assert.Equal("bad_request", await RefusalAsync(request with { CertificateSigningRequest = new string(PemEncoding.Write("CERTIFICATE REQUEST", der)) }, HttpStatusCode.BadRequest));
    }

    private async Task<EnrollRequest> RequestAsync(ECDsa key, string tokenName = "gw-7")
    {
        var token = await _silo.Get<TokenStore>().CreateGatewayTokenAsync(tokenName, [_silo.Host.GridAddress], TestContext.Current.CancellationToken);
        return new EnrollRequest(token, "gw-7", GridCertificates.CreateSigningRequest(key));
    }

    private async Task<string> RefusalAsync(EnrollRequest request, HttpStatusCode status)
    {
        using var response = await _silo.Stranger().PostAsync(GridRoutes.Enroll, request, GridJson.Default.EnrollRequest);
        Assert.Equal(status, response.StatusCode);
        return await CodeAsync(response);
    }

    private static async Task<string> CodeAsync(HttpResponseMessage response) =>
        JsonSerializer.Deserialize(await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken), GridJson.Default.GridError)!.Code;
}
