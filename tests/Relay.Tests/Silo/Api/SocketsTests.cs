using System.Net;
using System.Text.Json.Nodes;
using Dapper;
using Relay.Protocol.Ssh;
using Relay.Silo.Secrets;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class SocketsTests(ApiHost host) : IClassFixture<ApiHost>
{
    private const string Ssh = "upstream_configuration.ssh_service_configuration";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_socket_is_created_with_defaults_and_shown_the_same()
    {
        var connector = await ConnectorAsync();
        var created = await host.Admin.PostAsync("/sockets", Socket(host.Unique("DB-Host"), connector));
        Assert.Equal(HttpStatusCode.Created, created.Status);
        var socket = created.Json;
        var name = socket["name"]!.GetValue<string>();
        Assert.Equal(name.ToLowerInvariant(), name);
        Assert.Equal($"{name}.relay", socket["dnsname"]!.GetValue<string>());
        Assert.True(socket["recording_enabled"]!.GetValue<bool>());
        var ssh = socket["upstream_configuration"]!["ssh_service_configuration"]!;
        Assert.Equal("relay_certificate", ssh["ssh_authentication_type"]!.GetValue<string>());
        Assert.Equal("prompt_client", ssh["username_provider"]!.GetValue<string>());
        Assert.Equal(22, ssh["port"]!.GetValue<int>());
        Assert.Equal("offline", (await host.Admin.GetAsync($"/connectors/{connector}")).Json["status"]!.GetValue<string>());
        Assert.False(socket["alive"]!.GetValue<bool>());
        Assert.Equal($"connector {connector} is offline", socket["status_reason"]!.GetValue<string>());
        var shown = await host.Admin.GetAsync($"/sockets/{name}");
        Assert.True(JsonNode.DeepEquals(socket, shown.Json));
        Assert.Equal("\"1\"", shown.ETag);
    }

    [Fact]
    public async Task A_connected_connector_makes_its_sockets_alive_until_its_silo_is_known_to_be_gone()
    {
        var connector = await ConnectorAsync();
        var name = (await host.Admin.PostAsync("/sockets", Socket(host.Unique("alive"), connector))).Json["name"]!.GetValue<string>();
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        var incarnation = Guid.NewGuid();
        await connection.ExecuteAsync("""
            INSERT INTO silo_member (address, incarnation, status) VALUES (@incarnation::text, @incarnation, 'active');
            INSERT INTO connector_lease (connector_id, epoch, silo, silo_incarnation, agent_instance, agent_address, expires_at)
            SELECT connector_id, 1, 'silo:7443', @incarnation, @incarnation, '192.0.2.9', now() + interval '15 minutes' FROM connector WHERE name = @connector
            """, new { incarnation, connector });
        Assert.True((await host.Admin.GetAsync($"/sockets/{name}")).Json["alive"]!.GetValue<bool>());
        var shown = (await host.Admin.GetAsync($"/connectors/{connector}")).Json;
        Assert.Equal(("online", "192.0.2.9", "silo:7443"), (shown["status"]!.GetValue<string>(), shown["connected_from"]!.GetValue<string>(), shown["silo"]!.GetValue<string>()));
        Assert.Contains(connector, (await host.Admin.GetAsync("/connectors?status=online")).Body, StringComparison.Ordinal);
        await connection.ExecuteAsync("UPDATE silo_member SET status = 'dead' WHERE incarnation = @incarnation", new { incarnation });
        Assert.False((await host.Admin.GetAsync($"/sockets/{name}")).Json["alive"]!.GetValue<bool>());
        Assert.Equal("offline", (await host.Admin.GetAsync($"/connectors/{connector}")).Json["status"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("database", "database is not available in this release; available: ssh, tls, udp")]
    [InlineData("http", "http is not available in this release; available: ssh, tls, udp")]
    [InlineData("kubernetes", "kubernetes is not available in this release; available: ssh, tls, udp")]
    [InlineData("gopher", "must be one of ssh, tls (or tcp), udp")]
    public async Task What_cannot_be_served_is_refused_not_stored(string type, string message)
    {
        var body = Socket(host.Unique("type"), await ConnectorAsync());
        body["socket_type"] = type;
        var answer = await host.Admin.PostAsync("/sockets", body);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.Status);
        Assert.Equal(message, answer.Json["details"]!.AsArray().Single(d => d!["field"]!.GetValue<string>() == "socket_type")!["message"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("tcp", "tls")]
    [InlineData("tls", "tls")]
    [InlineData("udp", "udp")]
    public async Task A_raw_socket_is_stored_changed_and_found_by_its_type(string type, string stored)
    {
        var connector = await ConnectorAsync();
        var body = Raw(type, connector, new JsonObject { ["hostname"] = "db.internal", ["port"] = 5432 });
        var created = await host.Admin.PostAsync("/sockets", body);
        Assert.Equal(HttpStatusCode.Created, created.Status);
        var name = created.Json["name"]!.GetValue<string>();
        Assert.Equal((stored, false), (created.Json["socket_type"]!.GetValue<string>(), created.Json["recording_enabled"]!.GetValue<bool>()));
        Assert.Equal(["db.internal:5432"], created.Json["hosts"]!.AsArray().Select(h => h!["host"]!.GetValue<string>()));
        Assert.Contains(name, (await host.Admin.GetAsync($"/sockets?type={type}")).Body, StringComparison.Ordinal);

        var pool = new JsonArray(new JsonObject { ["hostname"] = "a", ["port"] = 1 }, new JsonObject { ["hostname"] = "b", ["port"] = 2 });
        var changed = await host.Admin.PatchAsync($"/sockets/{name}", new JsonObject { ["upstream_configuration"] = new JsonObject { ["service_type"] = type, [$"{stored}_service_configuration"] = new JsonObject { ["hosts"] = pool } } });
        Assert.Equal(["a:1", "b:2"], changed.Json["hosts"]!.AsArray().Select(h => h!["host"]!.GetValue<string>()));
        var another = await host.Admin.PatchAsync($"/sockets/{name}", new JsonObject { ["upstream_configuration"] = Upstream(new() { ["ssh_service_type"] = "standard", ["hostname"] = "h" }) });
        Assert.Equal(["upstream_configuration.service_type"], another.Fields);
    }

    [Theory]
    [InlineData("tls")]
    [InlineData("udp")]
    public async Task All_mistakes_of_a_raw_socket_are_named_at_once(string type)
    {
        var field = $"upstream_configuration.{type}_service_configuration";
        var connector = await ConnectorAsync();
        Assert.Equal([$"{field}.hostname", $"{field}.port"], (await host.Admin.PostAsync("/sockets", Raw(type, connector, []))).Fields);
        Assert.Equal([$"{field}.port"], (await host.Admin.PostAsync("/sockets", Raw(type, connector, new JsonObject { ["hostname"] = "h", ["port"] = 65536 }))).Fields);
        var pool = new JsonArray(new JsonObject { ["hostname"] = "a", ["port"] = 1 }, new JsonObject { ["hostname"] = "A", ["port"] = 1 }, new JsonObject { ["hostname"] = "b" });
        Assert.Equal([$"{field}.hosts[1]", $"{field}.hosts[2].port"], (await host.Admin.PostAsync("/sockets", Raw(type, connector, new JsonObject { ["hosts"] = pool }))).Fields);
        var body = Raw(type, connector, new JsonObject { ["hostname"] = "h", ["port"] = 1 });
        body["recording_enabled"] = true;
        body["upstream_configuration"]!["ssh_service_configuration"] = new JsonObject { ["ssh_service_type"] = "standard", ["hostname"] = "h" };
        Assert.Equal(["recording_enabled", "upstream_configuration.ssh_service_configuration"], (await host.Admin.PostAsync("/sockets", body)).Fields);
        body["upstream_configuration"] = new JsonObject { ["service_type"] = type };
        body["recording_enabled"] = null;
        Assert.Equal([field], (await host.Admin.PostAsync("/sockets", body)).Fields);
    }

    [Fact]
    public async Task Kinds_of_tls_that_are_not_served_yet_say_so()
    {
        var answer = await host.Admin.PostAsync("/sockets", Raw("tls", await ConnectorAsync(), new JsonObject { ["tls_service_type"] = "http_proxy", ["hostname"] = "h", ["port"] = 1 }));
        Assert.Contains("http_proxy is not available in this release; available: standard", answer.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Kinds_of_ssh_that_are_not_served_yet_say_so()
    {
        var body = Socket(host.Unique("kind"), await ConnectorAsync());
        body["upstream_configuration"]!["ssh_service_configuration"]!["ssh_service_type"] = "aws_ssm";
        var answer = await host.Admin.PostAsync("/sockets", body);
        Assert.Contains("aws_ssm is not available in this release", answer.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task All_mistakes_of_a_configuration_are_named_at_once()
    {
        var answer = await host.Admin.PostAsync("/sockets", new JsonObject
        {
            ["name"] = "bad name",
            ["description"] = new string('x', 1001),
            ["connector_ids"] = new JsonArray("no-such-connector"),
            ["host_keys"] = new JsonArray("not a key"),
            ["upstream_configuration"] = Upstream(new() { ["ssh_service_type"] = "standard", ["hostname"] = "h;rm -rf", ["port"] = 70000, ["ssh_authentication_type"] = "private_key", ["username"] = "-o" }),
        });
        Assert.Equal(["connector_ids[0]", "description", "host_keys[0]", "name", $"{Ssh}.hostname", $"{Ssh}.port", $"{Ssh}.private_key", $"{Ssh}.username"], answer.Fields);
    }

    [Fact]
    public async Task A_pool_is_shown_as_it_was_given_and_its_mistakes_are_named_one_by_one()
    {
        var connector = await ConnectorAsync();
        JsonObject Pool(params JsonNode?[] hosts) => new()
        {
            ["name"] = host.Unique("pool"),
            ["connector_ids"] = new JsonArray(connector),
            ["upstream_configuration"] = Upstream(new() { ["ssh_service_type"] = "standard", ["hosts"] = new JsonArray(hosts) }),
        };
        var created = await host.Admin.PostAsync("/sockets", Pool(new JsonObject { ["hostname"] = "a.internal" }, new JsonObject { ["hostname"] = "b.internal", ["port"] = 2222 }));
        Assert.Equal(HttpStatusCode.Created, created.Status);
        var ssh = created.Json["upstream_configuration"]!["ssh_service_configuration"]!;
        Assert.Equal(("a.internal", 22), (ssh["hostname"]!.GetValue<string>(), ssh["port"]!.GetValue<int>()));
        Assert.Equal(["a.internal:22", "b.internal:2222"], created.Json["hosts"]!.AsArray().Select(h => h!["host"]!.GetValue<string>()));
        Assert.All(created.Json["hosts"]!.AsArray(), h => Assert.Equal("no connector is online", h!["reason"]!.GetValue<string>()));

        var wrong = Pool(new JsonObject { ["hostname"] = "a.internal" }, new JsonObject { ["port"] = 0 }, new JsonObject { ["hostname"] = "A.internal", ["port"] = 22 });
        wrong["upstream_configuration"]!["ssh_service_configuration"]!["hostname"] = "c.internal";
        Assert.Equal([$"{Ssh}.hostname", $"{Ssh}.hosts[1].hostname", $"{Ssh}.hosts[1].port", $"{Ssh}.hosts[2]"], (await host.Admin.PostAsync("/sockets", wrong)).Fields);
        Assert.Equal([$"{Ssh}.hosts"], (await host.Admin.PostAsync("/sockets", Pool())).Fields);

        // A member that was not there is a host that a stored secret has never been for.
        var secret = Pool(new JsonObject { ["hostname"] = "a.internal" }, new JsonObject { ["hostname"] = "b.internal" });
        var service = secret["upstream_configuration"]!["ssh_service_configuration"]!;
        (service["ssh_authentication_type"], service["username"], service["password"]) = ("username_and_password", "ubuntu", "for a and b");
        var stored = await host.Admin.PostAsync("/sockets", secret);
        Assert.Equal(HttpStatusCode.Created, stored.Status);
        service["password"] = null;
        var update = new JsonObject { ["upstream_configuration"] = secret["upstream_configuration"]!.DeepClone() };
        Assert.Equal(HttpStatusCode.OK, (await host.Admin.PatchAsync($"/sockets/{stored.Json["name"]}", update)).Status);
        update["upstream_configuration"]!["ssh_service_configuration"]!["hosts"]!.AsArray().Add(new JsonObject { ["hostname"] = "evil.example" });
        Assert.Equal([$"{Ssh}.password"], (await host.Admin.PatchAsync($"/sockets/{stored.Json["name"]}", update)).Fields);
    }

    [Fact]
    public async Task A_password_is_sealed_and_never_shown()
    {
        var name = host.Unique("pw");
        var created = await host.Admin.PostAsync("/sockets", Socket(name, await ConnectorAsync(), new() { ["ssh_authentication_type"] = "username_and_password", ["username"] = "ops", ["password"] = "planted-password-7351" }));
        Assert.Equal(HttpStatusCode.Created, created.Status);
        Assert.True(created.Json["upstream_configuration"]!["ssh_service_configuration"]!["password"]!["set"]!.GetValue<bool>());
        foreach (var path in new[] { $"/sockets/{name}", "/sockets", "/audit_events" })
            Assert.DoesNotContain("planted-password", (await host.Admin.GetAsync(path)).Body, StringComparison.Ordinal);
        Assert.DoesNotContain("planted-password", created.Body, StringComparison.Ordinal);
        Assert.Equal("planted-password-7351", (await SecretsAsync(name)).Password);
    }

    [Fact]
    public async Task A_stored_secret_stays_with_its_target_and_cannot_be_sent_to_another()
    {
        var name = host.Unique("keep");
        var connector = await ConnectorAsync();
        var member = await host.UserAsync("member");
        JsonObject Login(string hostname, string username, string? password = null)
        {
            var ssh = new JsonObject { ["ssh_service_type"] = "standard", ["hostname"] = hostname, ["ssh_authentication_type"] = "username_and_password", ["username"] = username };
            if (password is not null)
                ssh["password"] = password;
            return new JsonObject { ["upstream_configuration"] = Upstream(ssh) };
        }
        var body = Login("db.internal", "ops", "first-password");
        body["name"] = name;
        body["connector_ids"] = new JsonArray(connector);
        Assert.Equal(HttpStatusCode.Created, (await member.PostAsync("/sockets", body)).Status);

        Assert.Equal(HttpStatusCode.OK, (await member.PatchAsync($"/sockets/{name}", Login("DB.internal", "ops"))).Status);
        Assert.Equal("first-password", (await SecretsAsync(name)).Password);
        foreach (var elsewhere in new[] { Login("evil.example", "ops"), Login("db.internal", "root") })
        {
            var refused = await member.PatchAsync($"/sockets/{name}", elsewhere);
            Assert.Equal([$"{Ssh}.password"], refused.Fields);
            Assert.Contains("has to be given again", refused.Body, StringComparison.Ordinal);
        }
        Assert.Equal(HttpStatusCode.OK, (await member.PatchAsync($"/sockets/{name}", Login("other.internal", "ops", "second-password"))).Status);
        Assert.Equal("second-password", (await SecretsAsync(name)).Password);
        var certificate = new JsonObject { ["upstream_configuration"] = Upstream(new() { ["ssh_service_type"] = "standard", ["hostname"] = "other.internal", ["username"] = "ops" }) };
        Assert.Equal(HttpStatusCode.OK, (await member.PatchAsync($"/sockets/{name}", certificate)).Status);
        Assert.Null((await SecretsAsync(name)).Password);
    }

    [Fact]
    public async Task A_private_key_has_to_be_one_and_its_text_is_in_no_error()
    {
        var connector = await ConnectorAsync();
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var pem = key.ExportOpenSsh("test");
        var name = host.Unique("key");
        Assert.Equal(HttpStatusCode.Created, (await host.Admin.PostAsync("/sockets", Socket(name, connector, new() { ["ssh_authentication_type"] = "private_key", ["username"] = "ops", ["private_key"] = pem }))).Status);
        Assert.Equal(pem, (await SecretsAsync(name)).PrivateKey);
        var broken = pem.Replace("b3BlbnNzaC1rZXktdjE", "cGxhbnRlZC1icm9rZW4", StringComparison.Ordinal);
        var refused = await host.Admin.PostAsync("/sockets", Socket(host.Unique("key"), connector, new() { ["ssh_authentication_type"] = "private_key", ["username"] = "ops", ["private_key"] = broken }));
        Assert.Equal([$"{Ssh}.private_key"], refused.Fields);
        Assert.DoesNotContain("cGxhbnRlZC", refused.Body, StringComparison.Ordinal);
        var reference = await host.Admin.PostAsync("/sockets", Socket(host.Unique("key"), connector, new() { ["ssh_authentication_type"] = "username_and_password", ["username"] = "ops", ["password"] = "from:env:X" }));
        Assert.Contains("not available in this release", reference.Body, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_built_in_service_takes_no_target()
    {
        var connector = await ConnectorAsync();
        var created = await host.Admin.PostAsync("/sockets", new JsonObject { ["name"] = host.Unique("builtin"), ["connector_ids"] = new JsonArray(connector), ["upstream_configuration"] = Upstream(new() { ["ssh_service_type"] = "connector_built_in_ssh_service" }) });
        Assert.Equal("use_connector_user", created.Json["upstream_configuration"]!["ssh_service_configuration"]!["username_provider"]!.GetValue<string>());
        var refused = await host.Admin.PostAsync("/sockets", new JsonObject { ["name"] = host.Unique("builtin"), ["upstream_configuration"] = Upstream(new() { ["ssh_service_type"] = "connector_built_in_ssh_service", ["hostname"] = "h", ["port"] = 22 }) });
        Assert.Equal([$"{Ssh}.hostname", $"{Ssh}.port"], refused.Fields);
    }

    [Fact]
    public async Task A_write_against_an_old_version_is_refused_and_changes_nothing()
    {
        var name = host.Unique("etag");
        var created = await host.Admin.PostAsync("/sockets", Socket(name, await ConnectorAsync()));
        var first = await host.Admin.PatchAsync($"/sockets/{name}", new JsonObject { ["description"] = "one" }, created.ETag);
        Assert.Equal("\"2\"", first.ETag);
        var stale = await host.Admin.PatchAsync($"/sockets/{name}", new JsonObject { ["description"] = "two" }, created.ETag);
        Assert.Equal((HttpStatusCode.PreconditionFailed, "precondition_failed"), (stale.Status, stale.Code));
        Assert.Equal("one", (await host.Admin.GetAsync($"/sockets/{name}")).Json["description"]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.PreconditionFailed, (await host.Admin.DeleteAsync($"/sockets/{name}", created.ETag)).Status);
        Assert.Equal(HttpStatusCode.OK, (await host.Admin.DeleteAsync($"/sockets/{name}", first.ETag)).Status);
    }

    [Fact]
    public async Task Tags_are_an_administrators_to_give_because_policies_follow_them()
    {
        var member = await host.UserAsync("member");
        var connector = await ConnectorAsync();
        var name = host.Unique("tagged");
        var body = Socket(name, connector);
        body["tags"] = new JsonObject { ["env"] = "dev" };
        Assert.Equal(HttpStatusCode.Forbidden, (await member.PostAsync("/sockets", body)).Status);
        Assert.Equal(HttpStatusCode.Created, (await host.Admin.PostAsync("/sockets", body.DeepClone())).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await member.PatchAsync($"/sockets/{name}", new JsonObject { ["tags"] = new JsonObject() })).Status);
        Assert.Equal(HttpStatusCode.OK, (await member.PatchAsync($"/sockets/{name}", new JsonObject { ["description"] = "mine" })).Status);
        Assert.Single((await host.Admin.GetAsync("/sockets?tag=env%3Ddev")).Json["list"]!.AsArray());
        Assert.Empty((await host.Admin.GetAsync("/sockets?tag=env%3Dprod")).Json["list"]!.AsArray());
    }

    private JsonObject Raw(string type, string connector, JsonObject service) => new()
    {
        ["name"] = host.Unique("raw"),
        ["socket_type"] = type,
        ["connector_ids"] = new JsonArray(connector),
        ["upstream_configuration"] = new JsonObject { ["service_type"] = type, [$"{(type == "tcp" ? "tls" : type)}_service_configuration"] = service },
    };

    private static JsonObject Upstream(JsonObject ssh) => new() { ["service_type"] = "ssh", ["ssh_service_configuration"] = ssh };

    private static JsonObject Socket(string name, string connector, JsonObject? ssh = null)
    {
        ssh ??= [];
        ssh["ssh_service_type"] = "standard";
        ssh["hostname"] = "db.internal";
        return new JsonObject { ["name"] = name, ["connector_ids"] = new JsonArray(connector), ["upstream_configuration"] = Upstream(ssh) };
    }

    private async Task<string> ConnectorAsync()
    {
        var name = host.Unique("prod");
        Assert.Equal(HttpStatusCode.Created, (await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = name })).Status);
        return name;
    }

    private async Task<SocketSecrets> SecretsAsync(string name)
    {
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        var (id, value) = await connection.QuerySingleAsync<(Guid, byte[]?)>("SELECT socket_id, upstream_secrets FROM socket WHERE name = lower(@name)", new { name });
        return host.Control.Vault.OpenSocket(id, value);
    }
}
