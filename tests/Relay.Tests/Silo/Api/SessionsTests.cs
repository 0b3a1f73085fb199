using System.Net;
using System.Text.Json.Nodes;
using Dapper;
using Npgsql;
using Relay.TestKit;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class SessionsTests(ApiHost host) : IClassFixture<ApiHost>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Filters_act_on_the_server_each_alone_and_together()
    {
        var socket = host.Unique("filtered");
        var a = await SessionAsync("a@example.test", socket, live: true);
        var b = await SessionAsync("b@example.test", socket, live: false);
        var denied = await SessionAsync("a@example.test", socket, live: false, authorization: "denied");
        Same([a, b, denied], await ListAsync($"socket={socket}"));
        Same([a, denied], await ListAsync($"socket={socket}&user=A@example.test"));
        Same([a], await ListAsync($"socket={socket}&live=true"));
        Same([denied], await ListAsync($"socket={socket}&result=denied"));
        Same([a, b], await ListAsync($"socket={socket}&result=allowed"));
        Same([], await ListAsync($"socket={socket}&to=2001-01-01"));
        Same([a, b, denied], await ListAsync($"socket={socket}&from=2001-01-01"));
        Same([b], await ListAsync($"socket={socket}&user=b@example.test&live=false&result=allowed"));
    }

    [Fact]
    public async Task A_cursor_walks_through_while_new_sessions_arrive()
    {
        var socket = host.Unique("walk");
        var expected = new List<Guid>();
        for (var i = 0; i < 5; i++)
            expected.Add(await SessionAsync("a@example.test", socket, live: false));
        var seen = new List<Guid>();
        string? cursor = null;
        do
        {
            var page = (await host.Admin.GetAsync($"/sessions?socket={socket}&page_size=2{(cursor is null ? "" : $"&cursor={cursor}")}")).Json;
            seen.AddRange(page["list"]!.AsArray().Select(s => s!["session_id"]!.GetValue<Guid>()));
            cursor = page["pagination"]!["next_cursor"]?.GetValue<string>();
            if (seen.Count == 2)
                await SessionAsync("late@example.test", socket, live: false);
        }
        while (cursor is not null);
        Assert.Equal(expected.Order(), seen.Order());
        Assert.Equal(5, seen.Distinct().Count());
    }

    [Fact]
    public async Task Kill_marks_the_row_and_signals_every_silo_once_committed()
    {
        await using var listener = await ListenAsync("relay_session_kill");
        var id = await SessionAsync("a@example.test", host.Unique("kill"), live: true);
        var answer = await host.Admin.PostAsync($"/sessions/{id}/kill");
        Assert.Equal(1, answer.Json["killed"]!.GetValue<int>());
        Assert.Equal(id.ToString("D"), await listener.NextAsync());
        var shown = (await host.Admin.GetAsync($"/sessions/{id}")).Json;
        Assert.Equal((true, "admin@relay.local"), (shown["killed"]!.GetValue<bool>(), shown["killed_by"]!.GetValue<string>()));
        Same([id], await ListAsync($"result=killed&socket={shown["socket_name"]}"));
        Assert.Single((await host.Admin.GetAsync($"/audit_events?type=session.kill&resource={id}")).Json["list"]!.AsArray());
    }

    [Fact]
    public async Task One_call_kills_all_live_sessions_of_a_user_a_socket_or_a_connector()
    {
        var socket = host.Unique("incident");
        var first = await SessionAsync("leaver@example.test", socket, live: true);
        var second = await SessionAsync("leaver@example.test", host.Unique("incident"), live: true);
        var other = await SessionAsync("stays@example.test", socket, live: true);
        await SessionAsync("leaver@example.test", socket, live: false);
        var byUser = (await host.Admin.PostAsync("/sessions/kill", new JsonObject { ["user"] = "leaver@example.test" })).Json;
        Assert.Equal(new[] { first, second }.Order(), byUser["session_ids"]!.AsArray().Select(s => s!.GetValue<Guid>()).Order());
        var bySocket = (await host.Admin.PostAsync("/sessions/kill", new JsonObject { ["socket"] = socket, ["user"] = "stays@example.test" })).Json;
        Assert.Equal([other], bySocket["session_ids"]!.AsArray().Select(s => s!.GetValue<Guid>()));
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await host.Admin.PostAsync("/sessions/kill", new JsonObject())).Status);
    }

    [Fact]
    public async Task An_ended_session_cannot_be_killed_and_an_unknown_one_is_not_found()
    {
        var id = await SessionAsync("a@example.test", host.Unique("ended"), live: false);
        Assert.Equal((HttpStatusCode.Conflict, "conflict"), ((await host.Admin.PostAsync($"/sessions/{id}/kill")) is var a ? (a.Status, a.Code) : default));
        Assert.Equal(HttpStatusCode.NotFound, (await host.Admin.PostAsync($"/sessions/{Guid.NewGuid()}/kill")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await host.Admin.PostAsync("/sessions/nonsense/kill")).Status);
    }

    [Fact]
    public async Task A_client_sees_and_kills_only_their_own_and_others_do_not_exist_for_them()
    {
        var client = await host.UserAsync("client");
        var socket = host.Unique("mine");
        var mine = await SessionAsync(client.Email, socket, live: true, userId: client.UserId);
        var others = await SessionAsync("other@example.test", socket, live: true);
        Same([mine], await ListAsync($"socket={socket}", client));
        Same([], await ListAsync($"socket={socket}&user=other@example.test", client));
        Assert.Equal(HttpStatusCode.NotFound, (await client.GetAsync($"/sessions/{others}")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await client.PostAsync($"/sessions/{others}/kill")).Status);
        Assert.Equal(HttpStatusCode.OK, (await client.PostAsync($"/sessions/{mine}/kill")).Status);
        var member = await host.UserAsync("member");
        Assert.Equal(HttpStatusCode.NotFound, (await member.PostAsync($"/sessions/{others}/kill")).Status);
    }

    [Fact]
    public async Task A_recording_is_for_auditors_and_for_whoever_it_shows()
    {
        // L32c: any user could watch any session.
        var owner = await host.UserAsync("member");
        var id = await SessionAsync(owner.Email, host.Unique("recorded"), live: false, userId: owner.UserId);
        await using (var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel))
            await connection.ExecuteAsync("INSERT INTO recording (session_id, recording_no, title, sealed_key) VALUES (@id, 0, 'shell', '\\x00')", new { id });
        host.Recordings.Content[(id, 0)] = ["""{"version":2,"width":80,"height":24}""", """[0.1,"o","hello\r\n"]"""];
        var path = $"/sessions/{id}/recordings/0";
        foreach (var reader in new[] { host.Admin, await host.UserAsync("read_only"), owner })
        {
            Assert.Equal("shell", (await reader.GetAsync($"/sessions/{id}/recordings")).Json["list"]![0]!["title"]!.GetValue<string>());
            var cast = await reader.GetAsync(path);
            Assert.Equal("{\"version\":2,\"width\":80,\"height\":24}\n[0.1,\"o\",\"hello\\r\\n\"]\n", cast.Body);
        }
        foreach (var stranger in new[] { await host.UserAsync("member"), await host.UserAsync("client") })
        {
            Assert.Equal(HttpStatusCode.NotFound, (await stranger.GetAsync(path)).Status);
            Assert.Equal(HttpStatusCode.NotFound, (await stranger.GetAsync($"/sessions/{id}/recordings")).Status);
        }
        Assert.Equal(3, (await host.Admin.GetAsync($"/audit_events?type=recording.replay&resource={id}")).Json["list"]!.AsArray().Count);
        Assert.Equal(HttpStatusCode.NotFound, (await host.Admin.GetAsync($"/sessions/{id}/recordings/1")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await host.Admin.GetAsync($"/sessions/{id}/recordings/x")).Status);
    }

    private static void Same(Guid[] expected, Guid[] actual) => Assert.Equal<IEnumerable<Guid>>(expected, actual);

    private async Task<Guid[]> ListAsync(string query, ApiClient? client = null) =>
        [.. (await (client ?? host.Admin).GetAsync($"/sessions?{query}")).Json["list"]!.AsArray().Select(s => s!["session_id"]!.GetValue<Guid>()).Order(ByTime)];

    // Sessions are listed latest first; the tests name them in the order they were made.
    private readonly List<Guid> _made = [];

    private IComparer<Guid> ByTime => Comparer<Guid>.Create((x, y) => _made.IndexOf(x).CompareTo(_made.IndexOf(y)));

    private async Task<Guid> SessionAsync(string email, string socket, bool live, string authorization = "allowed", Guid? userId = null)
    {
        var id = Guid.NewGuid();
        _made.Add(id);
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        await connection.ExecuteAsync("""
            INSERT INTO session (session_id, organization_id, user_id, user_email, socket_name, client_ip, client_port, gateway, silo, silo_incarnation, "authorization", decision_id, policy_version, end_time)
            SELECT @id, organization_id, @userId, @email, @socket, '192.0.2.1', 5000, 'gw', 'silo', @id, @authorization, @id, 1, CASE WHEN @live THEN NULL ELSE now() END FROM organization
            """, new { id, email, socket, live, authorization, userId = userId ?? Guid.NewGuid() });
        return id;
    }

    private async Task<NotificationListener> ListenAsync(string channel) => await NotificationListener.StartAsync(host.Database, channel);
}

/// <summary>Hears one channel's notifications.</summary>
internal sealed class NotificationListener : IAsyncDisposable
{
    private readonly NpgsqlConnection _connection;
    private readonly Queue<string> _heard = new();

    private NotificationListener(NpgsqlConnection connection)
    {
        _connection = connection;
        _connection.Notification += (_, e) => _heard.Enqueue(e.Payload);
    }

    public static async Task<NotificationListener> StartAsync(PrivatePostgres database, string channel)
    {
        var connection = await database.DataSource.OpenConnectionAsync(TestContext.Current.CancellationToken);
        var listener = new NotificationListener(connection);
        await connection.ExecuteAsync($"LISTEN {channel}");
        return listener;
    }

    public async Task<string> NextAsync()
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        deadline.CancelAfter(TimeSpan.FromSeconds(40));
        while (_heard.Count == 0)
            await _connection.WaitAsync(deadline.Token);
        return _heard.Dequeue();
    }

    /// <summary>What was heard up to now: a query's answer comes after every notification that was committed before it.</summary>
    public async Task<int> CountAsync()
    {
        await _connection.ExecuteAsync("SELECT 1");
        return _heard.Count;
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}
