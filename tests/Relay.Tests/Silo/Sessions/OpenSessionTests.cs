using System.Net;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Silo.Secrets;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>Opening sessions, and what comes with one.</summary>
public sealed class OpenSessionTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private readonly TestSilo _silo = fixture.Silo;

    [Fact]
    public async Task A_session_that_a_policy_allows_has_a_row_an_audit_event_and_a_fresh_certified_key()
    {
        var user = await _silo.AddUserAsync();
        var (socket, name) = await _silo.AddSocketAsync("10.9.8.7", 2022);
        await _silo.AllowAsync(user, socket, """{"shell":{},"recording":{"input":true}}""");
        var gateway = _silo.Gateway();
        var first = await gateway.OpenAsync(_silo.Certificate(user).Blob, name.ToUpperInvariant());
        var second = await gateway.OpenAsync(_silo.Certificate(user).Blob, name + ".relay");
        Assert.True(first.Allowed, first.Message);
        Assert.True(second.Allowed, second.Message);
        Assert.Equal(("standard", "10.9.8.7:2022", "ubuntu"), (first.Upstream!.Kind, first.Upstream.Target, first.Upstream.Username));
        Assert.Equal(new RecordingSettings(true, true), first.Recording);
        Assert.Null(first.EndsAt);
        Assert.Empty(first.Upstream.HostKeys);
        Assert.Null(first.Upstream.Password);

        Assert.True(SshPrivateKey.TryImport(first.Upstream.PrivateKey!, out var key, out _));
        Assert.True(SshCertificate.TryParseLine(first.Upstream.Certificate!, out var certificate, out _, out _));
        Assert.True(SshPublicKey.TryParseLine(_silo.Authorities.SshCaPublic(_silo.OrganizationId), out var ca, out _, out _));
        Assert.Equal(key.PublicKey, certificate.Key);
        Assert.Equal(SshCertificateCheck.Valid, certificate.Check(SshCertificateKind.User, ca, TimeProvider.System.GetUtcNow(), "relay_ssh_signed", null));
        Assert.InRange(certificate.ValidBefore, TimeProvider.System.GetUtcNow(), TimeProvider.System.GetUtcNow() + TimeSpan.FromMinutes(6));
        Assert.NotEqual(first.Upstream.PrivateKey, second.Upstream!.PrivateKey);

        var row = await _silo.QueryAsync<(string Authorization, string Gateway, string User, bool Live, string Recording, string Credential)>(
            "SELECT \"authorization\", gateway, ssh_user, end_time IS NULL, recording_state, credential->>'kind' FROM session WHERE session_id = @SessionId AND decision_id = @DecisionId AND policy_name <> ''", new { first.SessionId, first.DecisionId });
        Assert.Equal(("allowed", "gw-1", "ubuntu", true, "recording", "certificate"), row);
        Assert.Equal(1, await _silo.QueryAsync<int>("SELECT count(*)::int FROM audit_event WHERE action_type = 'session.open' AND detail->>'session_id' = @id", new { id = first.SessionId.ToString() }));
    }

    [Fact]
    public async Task A_socket_that_is_forbidden_and_one_that_does_not_exist_are_refused_alike()
    {
        var user = await _silo.AddUserAsync();
        var (_, name) = await _silo.AddSocketAsync();
        var certificate = _silo.Certificate(user).Blob;
        var forbidden = await _silo.Gateway().OpenAsync(certificate, name);
        var unknown = await _silo.Gateway().OpenAsync(certificate, "s-nowhere");
        foreach (var answer in new[] { forbidden, unknown })
        {
            Assert.False(answer.Allowed);
            Assert.Null(answer.Upstream);
            Assert.Contains(answer.DecisionId.ToString("D"), answer.Message, StringComparison.Ordinal);
            Assert.Equal(("denied", "denied", true), await _silo.QueryAsync<(string, string, bool)>(
                "SELECT \"authorization\", outcome, end_time IS NOT NULL FROM session WHERE session_id = @SessionId", new { answer.SessionId }));
            Assert.Equal(1, await _silo.QueryAsync<int>("SELECT count(*)::int FROM audit_event WHERE action_type = 'session.denied' AND detail->>'decision_id' = @id", new { id = answer.DecisionId.ToString() }));
        }

        // But for the names and ids, the texts are the same.
        static string Normal(OpenSessionResponse answer, string name) =>
            answer.Message!.Replace(answer.DecisionId.ToString("D"), "ID", StringComparison.Ordinal).Replace(name, "NAME", StringComparison.OrdinalIgnoreCase);
        Assert.Equal(Normal(forbidden, name), Normal(unknown, "s-nowhere"));
    }

    [Fact]
    public async Task A_key_that_is_nobodys_opens_nothing()
    {
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var answer = await _silo.Gateway().OpenAsync(key.PublicKey.Blob, "any");
        Assert.False(answer.Allowed);
        Assert.Equal(Guid.Empty, answer.SessionId);
        Assert.Contains(answer.DecisionId.ToString("D"), answer.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_upstream_user_is_the_sockets_or_the_one_asked_for()
    {
        var user = await _silo.AddUserAsync();
        var (defined, definedName) = await _silo.AddSocketAsync(username: "deploy");
        var (prompting, promptingName) = await _silo.AddSocketAsync(username: null);
        await _silo.AllowAsync(user, defined);
        await _silo.AllowAsync(user, prompting, """{"shell":{},"allowed_usernames":["alice"]}""");
        var (gateway, certificate) = (_silo.Gateway(), _silo.Certificate(user).Blob);
        Assert.Equal("deploy", (await gateway.OpenAsync(certificate, definedName, "root")).Upstream!.Username);
        Assert.Equal("alice", (await gateway.OpenAsync(certificate, promptingName, "alice")).Upstream!.Username);
        Assert.False((await gateway.OpenAsync(certificate, promptingName, "root")).Allowed);
        Assert.False((await gateway.OpenAsync(certificate, promptingName, "-")).Allowed);
    }

    [Fact]
    public async Task Without_a_user_name_a_socket_that_asks_for_one_says_how_to_give_it()
    {
        var user = await _silo.AddUserAsync();
        var (socket, name) = await _silo.AddSocketAsync(username: null);
        await _silo.AllowAsync(user, socket);
        var answer = await _silo.Gateway().OpenAsync(_silo.Certificate(user).Blob, name);
        Assert.False(answer.Allowed);
        Assert.Contains($"<user>@{name}", answer.Message, StringComparison.Ordinal);
        await Eventually.TrueAsync(async () => await _silo.QueryAsync<bool>("SELECT end_time IS NOT NULL AND outcome LIKE 'failed:%' FROM session WHERE session_id = @SessionId", new { answer.SessionId }), "the row is ended");
    }

    [Fact]
    public async Task Stored_credentials_come_with_the_session_and_never_into_a_row()
    {
        var user = await _silo.AddUserAsync();
        using var stored = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var (withKey, keyName) = await _silo.AddSocketAsync(authentication: "private_key", secrets: new SocketSecrets(null, stored.ExportOpenSsh("k")));
        var (withPassword, passwordName) = await _silo.AddSocketAsync(authentication: "username_and_password", secrets: new SocketSecrets("planted-pässword", null));
        var (withNothing, nothingName) = await _silo.AddSocketAsync(authentication: "username_and_password");
        foreach (var socket in new[] { withKey, withPassword, withNothing })
            await _silo.AllowAsync(user, socket);
        var (gateway, certificate) = (_silo.Gateway(), _silo.Certificate(user).Blob);

        var key = (await gateway.OpenAsync(certificate, keyName)).Upstream!;
        Assert.True(SshPrivateKey.TryImport(key.PrivateKey!, out var read, out _));
        Assert.Equal(stored.PublicKey, read.PublicKey);
        Assert.Null(key.Certificate);
        var password = (await gateway.OpenAsync(certificate, passwordName)).Upstream!;
        Assert.Equal(("planted-pässword", null, null), (password.Password, password.PrivateKey, password.Certificate));
        Assert.Contains("no stored password", (await gateway.OpenAsync(certificate, nothingName)).Message, StringComparison.Ordinal);

        // L30: whoever has the database has no secret.
        var dump = await _silo.Database.DumpAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain("planted-p", dump, StringComparison.Ordinal);
        Assert.DoesNotContain("PRIVATE KEY", dump, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_session_belongs_to_the_gateway_that_opened_it()
    {
        var (session, gateway) = await OpenAsync();
        var other = _silo.Gateway("gw-2");
        using (var response = await other.PostAsync(GridRoutes.Authorize(session), new AuthorizeRequest("shell"), GridJson.Default.AuthorizeRequest))
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        using (var response = await other.EndAsync(session))
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        using (var response = await other.PostAsync(GridRoutes.Stream(session)))
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        using (var response = await other.PostAsync(GridRoutes.Events(session), new SessionEventRequest("x", "done", new Dictionary<string, string>()), GridJson.Default.SessionEventRequest))
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        Assert.True((await gateway.AuthorizeAsync(session, new AuthorizeRequest("shell"))).Allowed);
    }

    [Fact]
    public async Task Ending_is_idempotent_keeps_the_counters_and_closes_the_session_to_everything()
    {
        var (session, gateway) = await OpenAsync();
        using (var response = await gateway.EndAsync(session, "closed by user", 10, 20))
            Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
        using (var response = await gateway.EndAsync(session, "something else", 5, 30))
            Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
        Assert.Equal(("closed by user", 10L, 30L), await _silo.QueryAsync<(string, long, long)>("SELECT outcome, bytes_up, bytes_down FROM session WHERE session_id = @session AND end_time IS NOT NULL", new { session }));
        using (var response = await gateway.PostAsync(GridRoutes.Authorize(session), new AuthorizeRequest("shell"), GridJson.Default.AuthorizeRequest))
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
        using (var response = await gateway.PostAsync(GridRoutes.Stream(session)))
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }

    private async Task<(Guid Session, TestPeer Gateway)> OpenAsync()
    {
        var user = await _silo.AddUserAsync();
        var (socket, name) = await _silo.AddSocketAsync();
        await _silo.AllowAsync(user, socket);
        var gateway = _silo.Gateway();
        var answer = await gateway.OpenAsync(_silo.Certificate(user).Blob, name);
        Assert.True(answer.Allowed, answer.Message);
        return (answer.SessionId, gateway);
    }
}
