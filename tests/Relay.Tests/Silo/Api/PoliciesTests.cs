using System.Net;
using System.Text.Json.Nodes;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class PoliciesTests(ApiHost host) : IClassFixture<ApiHost>
{
    [Fact]
    public async Task A_policy_is_created_changed_and_deleted_with_its_versions()
    {
        var name = host.Unique("ops");
        var created = await host.Admin.PostAsync("/policies", Policy(name));
        Assert.Equal(HttpStatusCode.Created, created.Status);
        Assert.Equal(("v2", 1L), (created.Json["version"]!.GetValue<string>(), created.Json["revision"]!.GetValue<long>()));
        Assert.False(created.Json["org_wide"]!.GetValue<bool>());
        var changed = await host.Admin.PatchAsync($"/policies/{name}", new JsonObject { ["org_wide"] = true }, created.ETag);
        Assert.True(changed.Json["org_wide"]!.GetValue<bool>());
        Assert.True(JsonNode.DeepEquals(created.Json["policy_data"], changed.Json["policy_data"]));
        Assert.Equal(HttpStatusCode.PreconditionFailed, (await host.Admin.PatchAsync($"/policies/{name}", new JsonObject { ["org_wide"] = false }, created.ETag)).Status);
        Assert.Equal(HttpStatusCode.OK, (await host.Admin.DeleteAsync($"/policies/{name}", changed.ETag)).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await host.Admin.GetAsync($"/policies/{name}")).Status);
    }

    [Fact]
    public async Task A_policy_may_expire_and_may_be_kept_after_all()
    {
        var name = host.Unique("guest");
        var body = Policy(name);
        body["expires"] = "2030-01-31T18:00:00Z";
        Assert.Equal("2030-01-31T18:00:00+00:00", (await host.Admin.PostAsync("/policies", body)).Json["expires"]!.GetValue<string>());
        Assert.NotNull((await host.Admin.PatchAsync($"/policies/{name}", new JsonObject { ["description"] = "kept" })).Json["expires"]);
        Assert.Null((await host.Admin.PatchAsync($"/policies/{name}", new JsonObject { ["expires"] = "never" })).Json["expires"]);
        Assert.Equal(["expires"], (await host.Admin.PatchAsync($"/policies/{name}", new JsonObject { ["expires"] = "soon" })).Fields);
    }

    [Fact]
    public async Task A_socket_is_asked_what_all_its_policies_say()
    {
        var socket = await SocketAsync();
        var question = new JsonObject { ["email"] = "ann@example.test", ["command"] = "uptime", ["time"] = "2029-01-01T00:00:00Z" };
        var nobody = (await host.Admin.PostAsync($"/sockets/{socket}/evaluate", question.DeepClone().AsObject())).Json;
        Assert.False(nobody["allowed"]!.GetValue<bool>());

        // One admits shells until it expires, the other one command: together both.
        foreach (var (ssh, expires) in new[] { ("""{"shell":{}}""", "2030-01-31T18:00:00Z"), ("""{"exec":{"commands":["uptime"]}}""", "never") })
        {
            var name = host.Unique("part");
            await host.Admin.PostAsync("/policies", new JsonObject
            {
                ["name"] = name,
                ["expires"] = expires,
                ["socket_ids"] = new JsonArray(socket),
                ["policy_data"] = JsonNode.Parse("{\"permissions\":{\"ssh\":" + ssh + "},\"condition\":{\"who\":{\"email\":[\"ann@example.test\"]}}}"),
            });
        }

        var answer = (await host.Admin.PostAsync($"/sockets/{socket}/evaluate", question.DeepClone().AsObject())).Json;
        Assert.True(answer["allowed"]!.GetValue<bool>());
        var actions = answer["actions"]!.AsArray().ToDictionary(a => a!["action"]!.GetValue<string>(), a => a!);
        Assert.Equal(
            [("connect", true), ("ssh.agent_forwarding", false), ("ssh.exec", true), ("ssh.sftp", false), ("ssh.shell", true), ("ssh.tcp_forwarding", false)],
            actions.OrderBy(a => a.Key, StringComparer.Ordinal).Select(a => (a.Key, a.Value["allowed"]!.GetValue<bool>())));
        Assert.Equal("2030-01-31T18:00:00+00:00", actions["ssh.shell"]["ends_at"]!.GetValue<string>());
        Assert.StartsWith("part", actions["ssh.shell"]["policy_name"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.NotEmpty(actions["ssh.sftp"]["reasons"]!.AsArray());

        question["time"] = "2031-01-01T00:00:00Z";
        var later = (await host.Admin.PostAsync($"/sockets/{socket}/evaluate", question.DeepClone().AsObject())).Json;
        Assert.False(later["actions"]!.AsArray().Single(a => a!["action"]!.GetValue<string>() == "ssh.shell")!["allowed"]!.GetValue<bool>());
        Assert.Equal(["email", "ip"], (await host.Admin.PostAsync($"/sockets/{socket}/evaluate", new JsonObject { ["ip"] = "x" })).Fields);
    }

    [Fact]
    public async Task Every_mistake_of_a_document_is_named_with_its_path()
    {
        var answer = await host.Admin.PostAsync("/policies", new JsonObject
        {
            ["name"] = "Upper",
            ["policy_data"] = JsonNode.Parse("""{"permissions":{"ssh":{"exec":{"commands":[7]},"shel":{}}},"condition":{"who":{"emails":[]},"where":{"allowed_ip":["10.0.0.0/33"]}}}"""),
        });
        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.Status);
        Assert.Equal(["name", "policy_data.condition.where.allowed_ip[0]", "policy_data.condition.who.emails", "policy_data.permissions.ssh.exec.commands[0]", "policy_data.permissions.ssh.shel"], answer.Fields);
    }

    [Fact]
    public async Task Version_1_documents_are_taken_as_such()
    {
        var body = new JsonObject { ["name"] = host.Unique("old"), ["policy_data"] = JsonNode.Parse("""{"version":"v1","action":["ssh"],"condition":{"who":{"email":["a@example.test"]}}}""") };
        Assert.Equal("v1", (await host.Admin.PostAsync("/policies", body)).Json["version"]!.GetValue<string>());
    }

    [Fact]
    public async Task Attaching_works_from_both_sides_and_shows_on_both()
    {
        var policy = host.Unique("attach");
        var socket = await SocketAsync();
        await host.Admin.PostAsync("/policies", Policy(policy));
        var attached = await host.Admin.PutAsync($"/policies/{policy}/sockets", Changes("add", socket));
        Assert.Equal(socket, attached.Json["list"]![0]!["name"]!.GetValue<string>());
        Assert.Equal(policy, (await host.Admin.GetAsync($"/sockets/{socket}/policies")).Json["list"]![0]!["name"]!.GetValue<string>());
        Assert.Equal(policy, (await host.Admin.GetAsync($"/sockets/{socket}")).Json["policies"]![0]!["name"]!.GetValue<string>());
        Assert.Single((await host.Admin.GetAsync($"/policies?socket={socket}")).Json["list"]!.AsArray());
        var detached = await host.Admin.PutAsync($"/sockets/{socket}/policies", Changes("remove", policy));
        Assert.Empty(detached.Json["list"]!.AsArray());
        var wrong = await host.Admin.PutAsync($"/sockets/{socket}/policies", new JsonObject { ["actions"] = new JsonArray(new JsonObject { ["action"] = "ad", ["id"] = policy }, new JsonObject { ["action"] = "add", ["id"] = "none" }, new JsonObject()) });
        Assert.Equal(["actions[0].action", "actions[1].id", "actions[2].action", "actions[2].id"], wrong.Fields);
    }

    [Fact]
    public async Task The_tester_says_what_is_allowed_and_which_clause_was_not_met()
    {
        var name = host.Unique("test");
        await host.Admin.PostAsync("/policies", new JsonObject
        {
            ["name"] = name,
            ["policy_data"] = JsonNode.Parse("""{"permissions":{"ssh":{"shell":{},"exec":{"commands":["uptime"]}}},"condition":{"who":{"email":["dev@example.test"]},"where":{"allowed_ip":["10.0.0.0/8"]}}}"""),
        });
        var passed = (await host.Admin.PostAsync($"/policies/{name}/test", new JsonObject { ["email"] = "dev@example.test", ["ip"] = "10.1.2.3", ["command"] = "uptime" })).Json;
        Assert.True(passed["passed"]!.GetValue<bool>());
        Assert.Equal(["ssh.exec", "ssh.shell"], passed["allowed_actions"]!.AsArray().Select(a => a!.GetValue<string>()).Order(StringComparer.Ordinal));
        var elsewhere = (await host.Admin.PostAsync($"/policies/{name}/test", new JsonObject { ["email"] = "dev@example.test", ["ip"] = "192.0.2.1" })).Json;
        Assert.False(elsewhere["passed"]!.GetValue<bool>());
        Assert.Empty(elsewhere["allowed_actions"]!.AsArray());
        Assert.Contains(elsewhere["clauses"]!.AsArray(), c => c!["clause"]!.GetValue<string>() == "$.condition.where.allowed_ip" && !c["met"]!.GetValue<bool>());
        var command = (await host.Admin.PostAsync($"/policies/{name}/test", new JsonObject { ["email"] = "dev@example.test", ["ip"] = "10.1.2.3", ["command"] = "reboot" })).Json;
        Assert.Equal(["ssh.shell"], command["allowed_actions"]!.AsArray().Select(a => a!.GetValue<string>()));
        Assert.Equal(["country", "destination", "email", "ip"], (await host.Admin.PostAsync($"/policies/{name}/test", new JsonObject { ["email"] = "x", ["ip"] = "y", ["country"] = "z", ["destination"] = "w" })).Fields);
    }

    [Fact]
    public async Task The_tester_counts_a_users_groups()
    {
        var user = await host.UserAsync("client");
        var group = host.Unique("devs");
        await host.Admin.PostAsync("/groups", new JsonObject { ["display_name"] = group, ["members"] = new JsonArray(user.Email) });
        var name = host.Unique("by-group");
        var created = await host.Admin.PostAsync("/policies", new JsonObject { ["name"] = name, ["policy_data"] = JsonNode.Parse($$$$"""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["{{{{group}}}}"]}}}""") });
        Assert.Equal(HttpStatusCode.Created, created.Status);
        Assert.True((await host.Admin.PostAsync($"/policies/{name}/test", new JsonObject { ["email"] = user.Email })).Json["passed"]!.GetValue<bool>());
        await host.Admin.DeleteAsync($"/groups/{group}/members/{user.UserId}");
        Assert.False((await host.Admin.PostAsync($"/policies/{name}/test", new JsonObject { ["email"] = user.Email })).Json["passed"]!.GetValue<bool>());
    }

    [Fact]
    public async Task The_first_policy_admits_the_administrator_and_nobody_else()
    {
        Assert.True((await host.Admin.PostAsync("/policies/default-org-policy/test", new JsonObject { ["email"] = "admin@relay.local" })).Json["passed"]!.GetValue<bool>());
        Assert.False((await host.Admin.PostAsync("/policies/default-org-policy/test", new JsonObject { ["email"] = "other@relay.local" })).Json["passed"]!.GetValue<bool>());
    }

    private static JsonObject Policy(string name) => new()
    {
        ["name"] = name,
        ["policy_data"] = JsonNode.Parse("""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"email":["dev@example.test"]}}}"""),
    };

    private static JsonObject Changes(string action, string id) => new() { ["actions"] = new JsonArray(new JsonObject { ["action"] = action, ["id"] = id }) };

    private async Task<string> SocketAsync()
    {
        var name = host.Unique("target");
        var created = await host.Admin.PostAsync("/sockets", JsonNode.Parse($$$$"""{"name":"{{{{name}}}}","upstream_configuration":{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":"h"}}}"""));
        Assert.Equal(HttpStatusCode.Created, created.Status);
        return name;
    }
}
