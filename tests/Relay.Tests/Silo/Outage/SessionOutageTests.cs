using System.Net;
using Dapper;
using Relay.Protocol.Grid;
using Relay.Silo.Connectors;
using Relay.Silo.History;
using Relay.Silo.Sessions;
using Relay.Tests.Silo.Grid;
using Relay.Tests.Silo.Sessions;

namespace Relay.Tests.Silo.Outage;

/// <summary>Sessions while the database is away, and what is in it afterwards.</summary>
public sealed class SessionOutageTests
{
    private const string Header = """{"version":2,"width":80,"height":24}""";

    [Theory]
    [InlineData(Outage.Refused, true)]
    [InlineData(Outage.Refused, false)]
    [InlineData(Outage.Swallowed, true)]
    [InlineData(Outage.Swallowed, false)]
    public async Task Sessions_begin_go_on_and_end_and_everything_of_them_is_there_once_afterwards(Outage how, bool known)
    {
        await using var outage = await OutageScene.StartAsync();
        var before = await LiveSessionScene.OpenAsync(outage.Silo, "gw-1", ssh: """{"shell":{}}""");
        var gateway = before.Gateway;
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(gateway, before.Session, 0, Header + "\n"));
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendEventAsync(gateway, before.Session, "shell", 1));
        var socket = await outage.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { before.Socket });

        await outage.CutAsync(how, known);

        // The one that lives: a channel is allowed, another is refused, its recording and its history go on, it ends.
        Assert.True((await gateway.AuthorizeAsync(before.Session, new AuthorizeRequest("shell", null, null, null))).Allowed);
        Assert.False((await gateway.AuthorizeAsync(before.Session, new AuthorizeRequest("exec", "id", null, null))).Allowed);
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(gateway, before.Session, 1, "one\n"));
        // Sent twice, as when an answer was lost.
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(gateway, before.Session, 1, "one\n"));
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendEventAsync(gateway, before.Session, "shell", 2));
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendEventAsync(gateway, before.Session, "shell", 2));

        // One that begins: its user is known from the snapshot, and so is how to log in.
        var opened = await gateway.OpenAsync(outage.Silo.Certificate(before.User).Blob, socket);
        Assert.True(opened.Allowed, opened.Message);
        Assert.NotNull(opened.Upstream!.PrivateKey);
        var during = opened.SessionId;
        Assert.True((await gateway.AuthorizeAsync(during, new AuthorizeRequest("shell", null, null, null))).Allowed);
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(gateway, during, 0, Header + "\n"));
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(gateway, during, 1, "during\n", last: true));
        Assert.Equal(HttpStatusCode.NoContent, (await gateway.EndAsync(during, "closed by user", 10, 20)).StatusCode);

        // And a refusal is history too.
        var refused = await gateway.OpenAsync(outage.Silo.Certificate(before.User).Blob, "no-such-socket");
        Assert.False(refused.Allowed);

        Assert.False(outage.Spool.IsEmpty);
        Assert.Equal(0, await outage.CountAsync("session WHERE session_id = @session", during));

        await outage.HealAsync();
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(gateway, before.Session, 2, "two\n", last: true));
        Assert.Equal(HttpStatusCode.NoContent, (await gateway.EndAsync(before.Session, "closed by user", 1, 2)).StatusCode);

        Assert.Equal(Header + "\none\ntwo\n", await outage.ReadRecordingAsync(before.Session));
        Assert.Equal(Header + "\nduring\n", await outage.ReadRecordingAsync(during));
        Assert.Equal(
            ("closed by user", "ready", 10, 20, true),
            await outage.Silo.QueryAsync<(string, string, int, int, bool)>("SELECT outcome, recording_state, bytes_up::int, bytes_down::int, end_time >= start_time FROM session WHERE session_id = @during", new { during }));
        Assert.Equal("ready", await outage.Silo.QueryAsync<string>("SELECT recording_state FROM session WHERE session_id = @Session", new { before.Session }));
        Assert.Equal("denied", await outage.Silo.QueryAsync<string>("SELECT outcome FROM session WHERE session_id = @SessionId", new { refused.SessionId }));
        foreach (var (session, decisions, events) in new[] { (before.Session, 2, 2), (during, 1, 0) })
        {
            Assert.Equal(decisions, await outage.CountAsync("session_event WHERE session_id = @session AND status IN ('allowed', 'denied')", session));
            Assert.Equal(events, await outage.CountAsync("session_event WHERE session_id = @session AND status = 'done'", session));
            Assert.Equal(1, await outage.CountAsync("audit_event WHERE action_type = 'session.open' AND detail->>'session_id' = @session::text", session));
            Assert.Equal(decisions, await outage.CountAsync("audit_event WHERE action_type IN ('session.shell', 'session.exec') AND detail->>'session_id' = @session::text", session));
        }

        Assert.Equal(1, await outage.CountAsync("audit_event WHERE action_type = 'session.denied' AND detail->>'session_id' = @session::text", refused.SessionId));
        Assert.Equal(0, outage.Silo.Get<ParkedFacts>().Dropped);
        Assert.Equal(0, outage.Silo.Get<ParkedFacts>().Count);
    }

    [Fact]
    public async Task A_target_is_logged_in_to_with_its_stored_secret_and_a_built_in_service_by_the_key_its_connector_told()
    {
        await using var outage = await OutageScene.StartAsync();
        var silo = outage.Silo;
        var user = await silo.AddUserAsync();
        var (stored, storedName) = await silo.AddSocketAsync(authentication: "username_and_password", secrets: new("s3cret", null));
        await silo.AllowAsync(user, stored);
        var (builtIn, builtInName) = await silo.AddSocketAsync();
        await silo.AllowAsync(user, builtIn);
        var connector = Guid.NewGuid();
        await silo.ApplyAsync(
            """
            INSERT INTO connector (connector_id, organization_id, name) VALUES (@connector, @OrganizationId, 'site');
            INSERT INTO socket_connector (socket_id, connector_id) VALUES (@builtIn, @connector);
            UPDATE socket SET upstream = '{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"connector_built_in_ssh_service","username_provider":"defined","username":"root"}}' WHERE socket_id = @builtIn;
            """,
            new { connector, builtIn, silo.OrganizationId });
        // What the connector says at its attach reaches the snapshot without any administrator's doing.
        await silo.Get<ConnectorRecords>().AttachedAsync(
            new AdmittedConnector(connector, "site", silo.OrganizationId, Guid.NewGuid(), ""),
            new ConnectorLease(connector, 1, "here", Guid.NewGuid(), Guid.NewGuid(), "", default, true),
            new Relay.Protocol.Tunnel.AttachRequest(1, "", Guid.NewGuid(), 0, "1", "h", "os", "ssh-ed25519 AAAA", null),
            TestContext.Current.CancellationToken);
        await silo.SettledAsync();

        await outage.CutAsync(Outage.Swallowed);
        var gateway = silo.Gateway();
        Assert.Equal("s3cret", (await gateway.OpenAsync(silo.Certificate(user).Blob, storedName)).Upstream!.Password);
        Assert.Equal(["ssh-ed25519 AAAA"], (await gateway.OpenAsync(silo.Certificate(user).Blob, builtInName)).Upstream!.HostKeys);
        await outage.HealAsync();
    }

    [Fact]
    public async Task A_registered_key_is_known_without_the_database_and_a_stream_goes_through()
    {
        await using var outage = await OutageScene.StartAsync();
        using var target = new TargetServer();
        using var key = Relay.Protocol.Ssh.SshPrivateKey.Generate(Relay.Protocol.Ssh.SshKeyKind.Ed25519);
        var user = await outage.Silo.AddUserAsync();
        await outage.Silo.ApplyAsync(
            "INSERT INTO user_ssh_key (key_id, user_id, fingerprint, public_key) VALUES (@id, @user, @fingerprint, @line)",
            new { id = Guid.NewGuid(), user, fingerprint = key.PublicKey.Fingerprint, line = key.PublicKey.ToLine() });
        var live = await LiveSessionScene.OpenAsync(outage.Silo, "gw-1", target.Port, user: user);
        await using var open = await live.Gateway.StreamAsync(live.Session);
        var socket = await outage.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { live.Socket });

        await outage.CutAsync(Outage.Swallowed);
        Assert.True((await live.Gateway.IdentifyAsync(key.PublicKey.Blob)).Known);
        var opened = await live.Gateway.OpenAsync(key.PublicKey.Blob, socket);
        Assert.True(opened.Allowed, opened.Message);
        await using var another = await live.Gateway.StreamAsync(opened.SessionId);
        foreach (var stream in new[] { open, another })
        {
            using var accepted = await target.AcceptAsync();
            await stream.WriteAsync("ping"u8.ToArray(), TestContext.Current.CancellationToken);
            await stream.FlushAsync(TestContext.Current.CancellationToken);
            Assert.Equal(4, await accepted.ReceiveAsync(new byte[10], TestContext.Current.CancellationToken));
        }

        await outage.HealAsync();
        Assert.StartsWith("127.0.0.1:", await outage.Silo.QueryAsync<string>("SELECT target FROM session WHERE session_id = @SessionId", new { opened.SessionId }));
    }

    [Fact]
    public async Task Sessions_that_a_gateway_claims_and_nobody_can_look_up_are_left_alone_until_somebody_can()
    {
        await using var outage = await OutageScene.StartAsync();
        var live = await LiveSessionScene.OpenAsync(outage.Silo, "gw-1");
        await outage.CutAsync(Outage.Refused);
        var unknown = Guid.NewGuid();
        using var control = await live.Gateway.ControlAsync(live.Session, unknown);
        // What is known is still obeyed at once.
        outage.Silo.Get<Relay.Silo.Sessions.SessionRegistry>().Kill(live.Session, "somebody");
        Assert.Equal(live.Session, (await control.NextOrderAsync())?.SessionId);
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "store_unavailable"), await StatusAsync(live.Gateway, unknown));

        await outage.HealAsync();
        // One that ends while it is being compared may be ordered to end twice.
        Guid? ordered;
        do
            ordered = (await control.NextOrderAsync())?.SessionId;
        while (ordered == live.Session);
        Assert.Equal(unknown, ordered);
    }

    [Fact]
    public async Task A_full_spool_refuses_recorded_sessions_with_a_sentence_and_chunks_with_a_code_and_recovers()
    {
        await using var outage = await OutageScene.StartAsync(spoolLimit: 256 * 1024);
        var live = await LiveSessionScene.OpenAsync(outage.Silo, "gw-1");
        var socket = await outage.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { live.Socket });
        var (plain, plainName) = await outage.Silo.AddSocketAsync();
        await outage.Silo.ApplyAsync("UPDATE socket SET recording_enabled = false WHERE socket_id = @plain", new { plain });
        await outage.Silo.AllowAsync(live.User, plain);
        await outage.CutAsync(Outage.Refused);

        var sent = 0;
        var line = new string('x', 20_000) + "\n";
        (HttpStatusCode Status, string? Code) answer;
        while ((answer = await OutageScene.SendChunkAsync(live.Gateway, live.Session, sent, line)).Status == HttpStatusCode.NoContent)
            sent++;
        Assert.Equal((HttpStatusCode.InsufficientStorage, "spool_full"), answer);
        // Not a refusal, so that the gateway asks another silo. Some small records may still fit.
        (HttpStatusCode Status, string? Message) opened;
        do
            opened = await OutageScene.TryOpenAsync(live.Gateway, outage.Silo.Certificate(live.User).Blob, socket);
        while (opened.Status == HttpStatusCode.OK);
        Assert.Equal(HttpStatusCode.InsufficientStorage, opened.Status);
        Assert.Contains("no place for this session, which has to be recorded", opened.Message, StringComparison.Ordinal);
        Assert.True((await live.Gateway.OpenAsync(outage.Silo.Certificate(live.User).Blob, plainName)).Allowed);
        Assert.Equal(HttpStatusCode.NoContent, (await live.Gateway.EndAsync(live.Session, "recording failed")).StatusCode);

        await outage.HealAsync();
        Assert.Equal(sent, await outage.CountAsync("recording_chunk WHERE session_id = @session", live.Session));
        await live.EndedAsync();
        Assert.Equal("recording failed", await live.OutcomeAsync());
        Assert.True((await live.Gateway.OpenAsync(outage.Silo.Certificate(live.User).Blob, socket)).Allowed);
    }

    [Fact]
    public async Task A_session_that_ended_here_stays_over_while_the_store_does_not_know_it_yet()
    {
        await using var outage = await OutageScene.StartAsync();
        var live = await LiveSessionScene.OpenAsync(outage.Silo, "gw-1");
        Assert.True(outage.Silo.Get<SessionRegistry>().Kill(live.Session, "somebody"));
        await live.EndedAsync();
        // Until the silo has heard that its end was written it writes it once more with what the gateway says, and then not again.
        await live.Gateway.EndAsync(live.Session, "closed by user");
        // As when its end waits in a spool that is being delivered, or as a standby that lacked the last commit.
        await outage.Silo.ApplyAsync("UPDATE session SET end_time = NULL, outcome = '' WHERE session_id = @Session", new { live.Session });
        Assert.Equal((HttpStatusCode.NotFound, "no_session"), await StatusAsync(live.Gateway, live.Session));
        await live.Gateway.EndAsync(live.Session, "closed by user");
        Assert.Equal("", await live.OutcomeAsync());
    }

    [Fact]
    public async Task What_is_left_of_a_session_waits_for_the_dead_silo_that_alone_knows_its_beginning()
    {
        await using var dead = await OutageScene.StartAsync();
        await using var other = await OutageScene.StartAsync(with: dead, name: "silo-2");
        var live = await LiveSessionScene.OpenAsync(dead.Silo, "gw-1");
        var socket = await dead.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { live.Socket });
        await dead.CutAsync(Outage.Refused);
        var session = (await live.Gateway.OpenAsync(dead.Silo.Certificate(live.User).Blob, socket)).SessionId;
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(live.Gateway, session, 0, Header + "\n"));

        // The store answers this one, and has never heard of the session.
        var gateway = other.Silo.Gateway("gw-1");
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(gateway, session, 1, "one\n", last: true));
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendEventAsync(gateway, session, "shell", 7));
        Assert.Equal(HttpStatusCode.NoContent, (await gateway.EndAsync(session, "connection lost", 5, 6)).StatusCode);
        Assert.Equal(3, other.Silo.Get<ParkedFacts>().Count);

        await dead.HealAsync();
        await Eventually.TrueAsync(() => other.Silo.Get<ParkedFacts>().Count == 0, "what waited is delivered");
        Assert.Equal(0, other.Silo.Get<ParkedFacts>().Dropped);
        Assert.Equal(Header + "\none\n", await dead.ReadRecordingAsync(session));
        Assert.Equal(1, await dead.CountAsync("session_event WHERE session_id = @session AND type = 'shell'", session));
        Assert.Equal("connection lost", await dead.Silo.QueryAsync<string>("SELECT outcome FROM session WHERE session_id = @session", new { session }));
    }

    [Fact]
    public async Task What_another_silo_took_for_a_session_waits_until_the_sessions_own_silo_has_delivered_its_beginning()
    {
        await using var one = await OutageScene.StartAsync();
        await using var two = await OutageScene.StartAsync(with: one, name: "silo-2");
        var live = await LiveSessionScene.OpenAsync(one.Silo, "gw-1");
        var socket = await one.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { live.Socket });
        await Task.WhenAll(one.CutAsync(Outage.Refused), two.CutAsync(Outage.Refused));
        var session = (await live.Gateway.OpenAsync(one.Silo.Certificate(live.User).Blob, socket)).SessionId;
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(live.Gateway, session, 0, Header + "\n"));

        // The gateway falls back to the other silo for the rest.
        var other = two.Silo.Gateway("gw-1");
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(other, session, 1, "one\n"));
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendEventAsync(other, session, "shell", 7));
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(other, session, 2, "two\n", last: true));
        Assert.Equal(HttpStatusCode.NoContent, (await other.EndAsync(session, "connection lost", 5, 6)).StatusCode);

        await two.HealAsync();
        Assert.Equal(4, two.Silo.Get<ParkedFacts>().Count);
        await one.HealAsync();
        await Eventually.TrueAsync(() => two.Silo.Get<ParkedFacts>().Count == 0, "what waited is delivered");
        Assert.Equal(Header + "\none\ntwo\n", await one.ReadRecordingAsync(session));
        Assert.Equal(1, await one.CountAsync("session_event WHERE session_id = @session AND type = 'shell'", session));
        Assert.Equal("connection lost", await one.Silo.QueryAsync<string>("SELECT outcome FROM session WHERE session_id = @session", new { session }));
        Assert.Equal(0, two.Silo.Get<ParkedFacts>().Dropped);
    }

    [Fact]
    public async Task A_database_that_comes_back_without_its_last_commits_gets_the_rows_of_live_sessions_again_and_its_own_state_is_decided_by()
    {
        await using var outage = await OutageScene.StartAsync();
        var live = await LiveSessionScene.OpenAsync(outage.Silo, "gw-1");
        var version = await outage.Silo.QueryAsync<long>("SELECT version FROM organization");
        await outage.CutAsync(Outage.Refused);
        // As a standby would have it: the session was never written, and the policy was another one at the same version.
        await outage.Silo.QueryAsync<int>("WITH d AS (DELETE FROM session WHERE session_id = @Session) UPDATE policy SET policy_data = jsonb_set(policy_data, '{permissions,ssh}', '{\"exec\":{}}') WHERE policy_id = @Policy RETURNING 1", new { live.Session, live.Policy });
        Assert.Equal(version, await outage.Silo.QueryAsync<long>("SELECT version FROM organization"));
        await outage.HealAsync();
        await Eventually.TrueAsync(async () => await outage.CountAsync("session WHERE session_id = @session AND end_time IS NULL", live.Session) == 1, "the row is there again");
        await Eventually.TrueAsync(async () => !(await live.Gateway.AuthorizeAsync(live.Session, new AuthorizeRequest("shell", null, null, null))).Allowed, "decided by what is in the database now");
    }

    private static async Task<(HttpStatusCode, string?)> StatusAsync(TestPeer gateway, Guid session)
    {
        using var response = await gateway.PostAsync(GridRoutes.Authorize(session), new AuthorizeRequest("shell", null, null, null), GridJson.Default.AuthorizeRequest);
        var body = await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken);
        return (response.StatusCode, System.Text.Json.JsonSerializer.Deserialize(body, GridJson.Default.GridError)?.Code);
    }
}
