using System.Net;
using Relay.Protocol.Grid;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>Each channel asks, each answer is written down.</summary>
public sealed class AuthorizeTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private const string Everything = """{"shell":{},"exec":{"commands":["id"]},"sftp":{},"tcp_forwarding":{"allowed_connections":[{"destination_address":"db.internal","destination_port":5432}]},"agent_forwarding":{}}""";
    private readonly TestSilo _silo = fixture.Silo;

    public static TheoryData<string, AuthorizeRequest, bool> Questions => new()
    {
        { Everything, new("shell"), true },
        { Everything, new("exec", "id"), true },
        { Everything, new("exec", "rm -rf /"), false },
        { Everything, new("sftp"), true },
        { Everything, new("subsystem", "netconf"), false },
        { Everything, new("tcp_forwarding", null, "db.internal", 5432), true },
        { Everything, new("tcp_forwarding", null, "db.internal", 22), false },
        { Everything, new("agent_forwarding"), true },

        // L22: a shell grant is nothing else's.
        { """{"shell":{}}""", new("shell"), true },
        { """{"shell":{}}""", new("exec", "id"), false },
        { """{"shell":{}}""", new("sftp"), false },
        { """{"shell":{}}""", new("tcp_forwarding", null, "localhost", 80), false },
        { """{"shell":{}}""", new("agent_forwarding"), false },
    };

    [Theory]
    [MemberData(nameof(Questions))]
    public async Task A_channel_is_judged_by_its_own_permission_and_the_answer_is_history(string ssh, AuthorizeRequest request, bool allowed)
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1", ssh: ssh);
        var answer = await scene.Gateway.AuthorizeAsync(scene.Session, request);
        Assert.Equal(allowed, answer.Allowed);
        if (!allowed)
            Assert.Contains(answer.DecisionId.ToString("D"), answer.Message, StringComparison.Ordinal);
        var id = answer.DecisionId.ToString();
        Assert.Equal((request.Action, allowed ? "allowed" : "denied"), await _silo.QueryAsync<(string, string)>("SELECT type, status FROM session_event WHERE session_id = @Session AND metadata->>'decision_id' = @id", new { scene.Session, id }));
        Assert.Equal(("session." + request.Action, allowed ? "success" : "denied"), await _silo.QueryAsync<(string, string)>("SELECT action_type, outcome FROM audit_event WHERE detail->>'decision_id' = @id AND action_type <> 'session.open'", new { id }));
    }

    [Fact]
    public async Task A_command_is_kept_as_sent_whatever_is_in_it()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        const string Command = "printf '\u00fc \ud83d\ude00 \u001b[31m \"\\' # ";
        Assert.True((await scene.Gateway.AuthorizeAsync(scene.Session, new AuthorizeRequest("exec", Command))).Allowed);
        Assert.False((await scene.Gateway.AuthorizeAsync(scene.Session, new AuthorizeRequest("exec", "id\0; rm"))).Allowed);
        Assert.Equal(Command, await _silo.QueryAsync<string>("SELECT metadata->>'command' FROM session_event WHERE session_id = @Session AND status = 'allowed'", new { scene.Session }));
        Assert.Equal("id\uFFFD; rm", await _silo.QueryAsync<string>("SELECT metadata->>'command' FROM session_event WHERE session_id = @Session AND status = 'denied'", new { scene.Session }));
    }

    [Theory]
    [InlineData("fly", null, null, null)]
    [InlineData("exec", null, null, null)]
    [InlineData("subsystem", null, null, null)]
    [InlineData("tcp_forwarding", null, "db.internal", null)]
    [InlineData("tcp_forwarding", null, "db.internal", 0)]
    [InlineData("tcp_forwarding", null, "db.internal", 65536)]
    [InlineData("tcp_forwarding", null, null, 22)]
    public async Task What_is_no_question_is_refused(string action, string? command, string? address, int? port)
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        using var response = await scene.Gateway.PostAsync(GridRoutes.Authorize(scene.Session), new AuthorizeRequest(action, command, address, port), GridJson.Default.AuthorizeRequest);
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
    }

    [Fact]
    public async Task What_a_gateway_reports_is_kept_clean_also_shortly_after_the_end()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        using (await scene.Gateway.EndAsync(scene.Session))
        {
        }

        var report = new SessionEventRequest("exec", "done", new Dictionary<string, string> { ["exit_status"] = "0", ["text"] = "a\u001b[31m\0b" });
        using (var response = await scene.Gateway.PostAsync(GridRoutes.Events(scene.Session), report, GridJson.Default.SessionEventRequest))
            Assert.Equal(HttpStatusCode.NoContent, response.StatusCode);
        Assert.Equal("a?[31m?b", await _silo.QueryAsync<string>("SELECT metadata->>'text' FROM session_event WHERE session_id = @Session AND status = 'done'", new { scene.Session }));

        await _silo.WriteAsync("UPDATE session SET end_time = now() - interval '3 minutes' WHERE session_id = @Session", new { scene.Session });
        using (var response = await scene.Gateway.PostAsync(GridRoutes.Events(scene.Session), report, GridJson.Default.SessionEventRequest))
            Assert.Equal(HttpStatusCode.NotFound, response.StatusCode);
    }
}
