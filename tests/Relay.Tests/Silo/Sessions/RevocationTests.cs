using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>L25: what is taken away ends what lives by it, at once.</summary>
public sealed class RevocationTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    // The objective is a second (measured in bench); a busy machine may be late, a lost revocation never comes.
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);
    private readonly TestSilo _silo = fixture.Silo;

    public static TheoryData<string, string> Writes => new()
    {
        { "detach the policy", "DELETE FROM policy_socket WHERE policy_id = @Policy" },
        { "delete the policy", "DELETE FROM policy WHERE policy_id = @Policy" },
        { "empty its who", """UPDATE policy SET policy_data = jsonb_set(policy_data, '{condition,who}', '{"email":[]}') WHERE policy_id = @Policy""" },
        { "restrict its where", """UPDATE policy SET policy_data = jsonb_set(policy_data, '{condition,where}', '{"allowed_ip":["10.0.0.0/8"]}') WHERE policy_id = @Policy""" },
        { "end its when", """UPDATE policy SET policy_data = jsonb_set(policy_data, '{condition,when}', '{"before":"2020-01-01T00:00:00Z"}') WHERE policy_id = @Policy""" },
        { "delete the user", "DELETE FROM app_user WHERE user_id = @User" },
        { "delete the socket", "DELETE FROM socket WHERE socket_id = @Socket" },
    };

    [Theory]
    [MemberData(nameof(Writes))]
    public async Task A_write_that_takes_the_grant_away_ends_session_and_stream(string write, string sql)
    {
        using var target = new TargetServer();
        var scene = await LiveSessionScene.OpenAsync(_silo, $"gw-{Guid.NewGuid():N}", target.Port);
        using var control = await scene.Gateway.ControlAsync(scene.Session);
        await using var stream = await scene.Gateway.StreamAsync(scene.Session);
        using var far = await target.AcceptAsync();

        var ordered = scene.OrderToEndAsync(control);
        await _silo.WriteAsync(sql, new { scene.Policy, scene.User, scene.Socket });
        var reason = await ordered.WaitAsync(Limit, TestContext.Current.CancellationToken);
        await Assert.ThrowsAnyAsync<IOException>(async () => await stream.ReadExactlyAsync(new byte[1], TestContext.Current.CancellationToken));
        Assert.NotEqual("", reason);
        await TargetServer.EndAsync(far);
        await scene.EndedAsync();
        Assert.StartsWith(write == "end its when" ? "" : "access revoked", await scene.OutcomeAsync(), StringComparison.Ordinal);
        Assert.Equal(1, await _silo.QueryAsync<int>("SELECT count(*)::int FROM audit_event WHERE action_type IN ('session.revoked', 'session.expired') AND resource_id = @id", new { id = scene.Session.ToString() }));
    }

    [Fact]
    public async Task A_channel_allowed_for_a_shorter_time_than_the_session_ends_it_when_that_is_over()
    {
        // The session as such has no end: sftp is allowed at any time. The shell is another policy's, for a moment only.
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-short", ssh: """{"sftp":{}}""");
        var shell = await _silo.AllowAsync(scene.User, scene.Socket, """{"shell":{}}""");
        using var control = await scene.Gateway.ControlAsync(scene.Session);
        var ordered = scene.OrderToEndAsync(control);

        // A machine that is so slow that it is over before anybody asks gets a longer one.
        for (var seconds = 2; ; seconds *= 2)
        {
            var until = DateTimeOffset.FromUnixTimeMilliseconds(TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() + (seconds * 1000));
            await _silo.ApplyAsync("UPDATE policy SET policy_data = jsonb_set(policy_data, '{condition,when}', jsonb_build_object('before', @until::text)) WHERE policy_id = @shell",
                new { shell, until = until.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", System.Globalization.CultureInfo.InvariantCulture) });
            if ((await scene.Gateway.AuthorizeAsync(scene.Session, new AuthorizeRequest("shell"))).Allowed)
                break;
            Assert.True(TimeProvider.System.GetUtcNow() >= until, "the shell is allowed");
        }

        await ordered;
        await scene.EndedAsync();
        Assert.Equal("the time of access is over", await scene.OutcomeAsync());
    }

    [Fact]
    public async Task A_lost_notification_costs_a_second_not_the_revocation()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-lost");
        using var control = await scene.Gateway.ControlAsync(scene.Session);
        var ordered = scene.OrderToEndAsync(control);
        await _silo.WriteAsync("DELETE FROM policy WHERE policy_id = @Policy", new { scene.Policy }, notify: false);
        await ordered.WaitAsync(Limit, TimeProvider.System, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Removing_the_key_that_proved_the_user_ends_the_session_and_leaves_the_users_others()
    {
        var user = await _silo.AddUserAsync();
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        await _silo.ApplyAsync(
            "INSERT INTO user_ssh_key (key_id, user_id, fingerprint, public_key) VALUES (gen_random_uuid(), @user, @fingerprint, @line)",
            new { user, fingerprint = key.PublicKey.Fingerprint, line = key.PublicKey.ToLine() });
        var byKey = await LiveSessionScene.OpenAsync(_silo, "gw-key", key: key.PublicKey.Blob, user: user);
        var byCertificate = await LiveSessionScene.OpenAsync(_silo, "gw-key", user: user);
        using var control = await byKey.Gateway.ControlAsync(byKey.Session, byCertificate.Session);
        var ordered = byKey.OrderToEndAsync(control);
        await _silo.WriteAsync("DELETE FROM user_ssh_key WHERE fingerprint = @Fingerprint", new { key.PublicKey.Fingerprint });
        await ordered;
        Assert.True((await byCertificate.Gateway.AuthorizeAsync(byCertificate.Session, new AuthorizeRequest("shell"))).Allowed);
    }

    [Fact]
    public async Task Losing_the_right_to_an_open_channel_ends_the_session_but_a_closed_one_is_forgotten()
    {
        var open = await LiveSessionScene.OpenAsync(_silo, "gw-open");
        var closed = await LiveSessionScene.OpenAsync(_silo, "gw-open");
        Assert.True((await open.Gateway.AuthorizeAsync(open.Session, new AuthorizeRequest("exec", "id"))).Allowed);
        var decision = await closed.Gateway.AuthorizeAsync(closed.Session, new AuthorizeRequest("exec", "id"));
        using (var response = await closed.Gateway.PostAsync(
            GridRoutes.Events(closed.Session),
            new SessionEventRequest("exec", "done", new Dictionary<string, string> { ["decision_id"] = decision.DecisionId.ToString(), ["exit_status"] = "0" }),
            GridJson.Default.SessionEventRequest))
            Assert.Equal(System.Net.HttpStatusCode.NoContent, response.StatusCode);

        using var control = await open.Gateway.ControlAsync(open.Session, closed.Session);
        var ordered = open.OrderToEndAsync(control);
        const string NoExec = "UPDATE policy SET policy_data = policy_data #- '{permissions,ssh,exec}' WHERE policy_id = ANY(@ids)";
        await _silo.ApplyAsync(NoExec, new { ids = new[] { open.Policy, closed.Policy } });
        await ordered;
        Assert.True((await closed.Gateway.AuthorizeAsync(closed.Session, new AuthorizeRequest("shell"))).Allowed);
        Assert.False((await closed.Gateway.AuthorizeAsync(closed.Session, new AuthorizeRequest("exec", "id"))).Allowed);
    }

    // L27: what the session's opening allowed is asked again where bytes begin to flow.
    [Fact]
    public async Task A_stream_is_not_opened_on_the_strength_of_an_earlier_grant()
    {
        using var target = new TargetServer();
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-late", target.Port);
        await _silo.ApplyAsync("DELETE FROM policy WHERE policy_id = @Policy", new { scene.Policy });
        await Assert.ThrowsAnyAsync<IOException>(() => scene.Gateway.StreamAsync(scene.Session));
    }

    [Fact]
    public async Task The_maximum_duration_ends_the_session()
    {
        using var control = await _silo.Gateway("gw-max").ControlAsync();
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-max", ssh: """{"shell":{},"max_session_duration_seconds":2}""");
        Assert.Contains("maximum duration", await scene.OrderToEndAsync(control), StringComparison.Ordinal);
        await scene.EndedAsync();
        Assert.Equal("maximum duration reached", await scene.OutcomeAsync());
    }
}
