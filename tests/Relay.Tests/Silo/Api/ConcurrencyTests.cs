using System.Net;
using System.Text.Json.Nodes;
using Dapper;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class ConcurrencyTests(ApiHost host) : IClassFixture<ApiHost>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Sixteen_clients_that_create_the_same_forty_names_make_forty_rows()
    {
        var prefix = host.Unique("same");
        var answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(async client =>
        {
            var statuses = new List<HttpStatusCode>();
            for (var i = 0; i < 40; i++)
                statuses.Add((await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = $"{prefix}-{(i + client) % 40}" })).Status);
            return statuses;
        }));
        var all = answers.SelectMany(a => a).ToArray();
        Assert.Equal(40, all.Count(s => s == HttpStatusCode.Created));
        Assert.Equal(16 * 40 - 40, all.Count(s => s == HttpStatusCode.Conflict));
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        Assert.Equal(40, await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM connector WHERE name LIKE @p || '-%'", new { p = prefix }));
        Assert.Equal(40, await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM audit_event WHERE action_type = 'connector.create' AND detail->>'name' LIKE @p || '-%'", new { p = prefix }));
    }

    [Fact]
    public async Task A_hundred_parallel_role_changes_leave_one_line_of_history()
    {
        // L33: role changes that raced made owners. Each change must start where the one before ended.
        var user = await host.UserAsync("client");
        string[] roles = ["member", "read_only", "client", "admin"];
        var before = await VersionAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(i => host.Admin.PatchAsync($"/users/{user.UserId}", new JsonObject { ["role"] = roles[i % 4] })));
        Assert.All(answers, a => Assert.Equal(HttpStatusCode.OK, a.Status));
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        var changes = (await connection.QueryAsync<(string? Before, string? After)>(
            "SELECT detail->'role'->>'before', detail->'role'->>'after' FROM audit_event WHERE action_type = 'user.update' AND resource_id = @id ORDER BY event_id", new { id = user.UserId.ToString("D") })).ToArray();
        Assert.Equal(100, changes.Length);
        var role = "client";
        foreach (var (from, to) in changes)
        {
            // No entry: the change found the role it wanted.
            if (to is null)
                continue;
            Assert.Equal(role, from);
            role = to;
        }
        Assert.Equal(role, await connection.ExecuteScalarAsync<string>("SELECT role FROM app_user WHERE user_id = @UserId", new { user.UserId }));
        Assert.Equal(before + 100, await VersionAsync());
    }

    [Fact]
    public async Task Two_administrators_who_demote_each_other_do_not_both_succeed()
    {
        for (var round = 0; round < 10; round++)
        {
            var first = await host.UserAsync("admin");
            var second = await host.UserAsync("admin");
            var answers = await Task.WhenAll(
                first.PatchAsync($"/users/{second.UserId}", new JsonObject { ["role"] = "client" }),
                second.PatchAsync($"/users/{first.UserId}", new JsonObject { ["role"] = "client" }));
            Assert.Single(answers, a => a.Status == HttpStatusCode.OK);
            Assert.Single(answers, a => a.Status == HttpStatusCode.Forbidden);
        }
    }

    [Fact]
    public async Task Of_many_writes_against_one_version_one_wins()
    {
        var name = host.Unique("etag");
        var policy = await host.Admin.PostAsync("/policies", JsonNode.Parse($$$$$"""{"name":"{{{{{name}}}}}","policy_data":{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"email":["a@example.test"]}}}}"""));
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => host.Admin.PatchAsync($"/policies/{name}", new JsonObject { ["description"] = $"writer {i}" }, policy.ETag)));
        Assert.Single(answers, a => a.Status == HttpStatusCode.OK);
        Assert.Equal(19, answers.Count(a => a.Status == HttpStatusCode.PreconditionFailed));
    }

    [Fact]
    public async Task Everything_a_decision_depends_on_bumps_the_version_and_tells_every_silo()
    {
        await using var listener = await NotificationListener.StartAsync(host.Database, "relay_org");
        var organization = (await host.Admin.GetAsync("/organization")).Json["organization_id"]!.GetValue<string>();
        var name = host.Unique("bump");
        var socket = JsonNode.Parse($$$$$"""{"name":"{{{{{name}}}}}","upstream_configuration":{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":"h"}}}""")!;
        var policy = JsonNode.Parse($$$$$"""{"name":"{{{{{name}}}}}","policy_data":{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"email":["a@example.test"]}}}}""")!;
        var attach = JsonNode.Parse($$$$$"""{"actions":[{"action":"add","id":"{{{{{name}}}}}"}]}""")!;
        const string Key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDtKTc7cOJFdJOG6mdsMEO5j3LyMpB0sVNCwFPZ3Kv0L t";
        (string Method, string Path, JsonNode? Body)[] writes =
        [
            ("POST", "/users", new JsonObject { ["email"] = $"{name}@example.test" }),
            ("PATCH", $"/users/{name}@example.test", new JsonObject { ["role"] = "member" }),
            ("POST", $"/users/{name}@example.test/ssh_keys", new JsonObject { ["public_key"] = Key }),
            ("DELETE", $"/users/{name}@example.test/ssh_keys/{Uri.EscapeDataString("SHA256:")}", null),
            ("POST", "/groups", new JsonObject { ["display_name"] = name }),
            ("PUT", $"/groups/{name}/members/{name}@example.test", null),
            ("DELETE", $"/groups/{name}/members/{name}@example.test", null),
            ("POST", "/connectors", new JsonObject { ["name"] = name }),
            ("POST", "/sockets", socket),
            ("PATCH", $"/sockets/{name}", new JsonObject { ["connector_ids"] = new JsonArray(name) }),
            ("POST", "/policies", policy),
            ("PUT", $"/policies/{name}/sockets", attach),
            ("PATCH", $"/policies/{name}", new JsonObject { ["org_wide"] = true }),
            ("DELETE", $"/policies/{name}", null),
            ("DELETE", $"/sockets/{name}", null),
            ("DELETE", $"/connectors/{name}", null),
            ("DELETE", $"/groups/{name}", null),
            ("DELETE", $"/users/{name}@example.test", null),
        ];
        foreach (var (method, path, body) in writes)
        {
            var before = await VersionAsync();
            var target = path.EndsWith("SHA256%3A", StringComparison.Ordinal) ? path.Replace("SHA256%3A", await KeyIdAsync(name), StringComparison.Ordinal) : path;
            var answer = await host.Admin.SendAsync(method, target, body?.ToJsonString());
            Assert.True((int)answer.Status is >= 200 and < 300, $"{method} {path}: {answer.Body}");
            Assert.True(await VersionAsync() == before + 1, $"{method} {path} did not bump the version");
            Assert.Equal(organization, await listener.NextAsync());
        }
        // What was refused changed nothing and told nobody.
        var last = await VersionAsync();
        await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = "not a name" });
        await host.Admin.DeleteAsync($"/sockets/{name}");
        Assert.Equal(last, await VersionAsync());
        Assert.Equal(0, await listener.CountAsync());
    }

    private async Task<string> KeyIdAsync(string name) =>
        (await host.Admin.GetAsync($"/users/{name}@example.test/ssh_keys")).Json["list"]![0]!["key_id"]!.GetValue<string>();

    private async Task<long> VersionAsync() => (await host.Admin.GetAsync("/organization")).Json["version"]!.GetValue<long>();
}
