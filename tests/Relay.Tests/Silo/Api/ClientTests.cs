using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using Dapper;
using Relay.Protocol.Ssh;
using Relay.Silo.Storage;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class ClientTests(ApiHost host) : IClassFixture<ApiHost>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_certificate_is_for_the_caller_and_not_for_longer_than_the_login()
    {
        var user = await host.UserAsync("client");
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var answer = await user.PostAsync("/client/ssh_certificate", new JsonObject { ["public_key"] = key.PublicKey.ToLine("laptop"), ["lifetime_seconds"] = 600 });
        Assert.Equal(HttpStatusCode.OK, answer.Status);
        Assert.True(SshCertificate.TryParseLine(answer.Json["certificate"]!.GetValue<string>(), out var certificate, out _, out _));
        var organization = (await host.Admin.GetAsync("/organization")).Json;
        Assert.True(SshPublicKey.TryParseLine(organization["user_ca"]!.GetValue<string>(), out var ca, out _, out _));
        var now = TimeProvider.System.GetUtcNow();
        Assert.Equal(SshCertificateCheck.Valid, certificate.Check(SshCertificateKind.User, ca, now, user.UserId.ToString("D"), null));
        Assert.Equal(user.Email, certificate.KeyId);
        Assert.InRange(certificate.ValidBefore, now.AddSeconds(500), now.AddSeconds(601));

        await using (var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel))
            await connection.ExecuteAsync("UPDATE login_session SET expires_at = now() + interval '5 minutes' WHERE user_id = @UserId", new { user.UserId });
        var longest = (await user.PostAsync("/client/ssh_certificate", new JsonObject { ["public_key"] = key.PublicKey.ToLine(), ["lifetime_seconds"] = 86400 })).Json;
        Assert.True(longest["valid_before"]!.GetValue<DateTimeOffset>() <= now.AddMinutes(6));
        Assert.Equal(2, (await host.Admin.GetAsync($"/audit_events?type=ssh_certificate.issue&actor={user.Email}")).Json["list"]!.AsArray().Count);
    }

    [Theory]
    [InlineData(null, 600, "public_key")]
    [InlineData("ssh-dss AAAAB3NzaC1kc3MAAACBAP", 600, "public_key")]
    [InlineData("nonsense", 59, "lifetime_seconds,public_key")]
    [InlineData("", 86401, "lifetime_seconds,public_key")]
    public async Task What_cannot_be_certified_is_refused_by_field(string? key, int lifetime, string fields)
    {
        var body = new JsonObject { ["lifetime_seconds"] = lifetime };
        if (key is not null)
            body["public_key"] = key;
        Assert.Equal(fields.Split(','), (await host.Admin.PostAsync("/client/ssh_certificate", body)).Fields);
    }

    [Fact]
    public async Task Resources_are_those_a_policy_admits_the_caller_to_and_follow_it_at_once()
    {
        var user = await host.UserAsync("client");
        var open = await SocketAsync("""{"ssh_service_type":"standard","hostname":"h","username":"ops"}""");
        var prompted = await SocketAsync("""{"ssh_service_type":"standard","hostname":"h"}""");
        await SocketAsync("""{"ssh_service_type":"standard","hostname":"h"}""");
        Assert.Empty(await ResourcesAsync(user));
        var policy = host.Unique("reach");
        await host.Admin.PostAsync("/policies", JsonNode.Parse($$$$$"""
            {"name":"{{{{{policy}}}}}","socket_ids":["{{{{{open}}}}}","{{{{{prompted}}}}}"],
             "policy_data":{"permissions":{"ssh":{"shell":{},"allowed_usernames":["ubuntu"]}},"condition":{"who":{"email":["{{{{{user.Email}}}}}"]}}}}
            """));
        Assert.Equal(new[] { open, prompted }.Order(StringComparer.Ordinal), await ResourcesAsync(user));
        var listed = (await user.GetAsync("/client/resources")).Json["list"]!.AsArray();
        Assert.Equal("ops", listed.Single(r => r!["name"]!.GetValue<string>() == open)!["username"]!.GetValue<string>());
        Assert.Equal("prompt_client", listed.Single(r => r!["name"]!.GetValue<string>() == prompted)!["username_provider"]!.GetValue<string>());
        await host.Admin.DeleteAsync($"/policies/{policy}");
        Assert.Empty(await ResourcesAsync(user));
    }

    [Fact]
    public async Task Gateways_are_those_heard_of_lately_with_one_host_key()
    {
        var directory = (SiloDirectory)host.Services.GetService(typeof(SiloDirectory))!;
        await directory.GatewaySeenAsync("gw-1", "gw1.example.test:2222", "", 0, "0.1.0", "silo:7443", Cancel);
        await directory.GatewaySeenAsync("gw-gone", "gone.example.test:2222", "", 0, "0.1.0", "silo:7443", Cancel);
        await directory.GatewaySeenAsync("gw-1", "moved.example.test:2222", "", 0, "0.1.0", "silo:7443", Cancel);
        await using (var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel))
        {
            await connection.ExecuteAsync("""
                UPDATE gateway SET last_seen_at = now() - interval '2 minutes' WHERE name = 'gw-gone';
                UPDATE gateway_sighting SET last_seen_at = now() - interval '2 minutes' WHERE name = 'gw-gone';
                """);
        }

        var answer = (await host.Admin.GetAsync("/client/gateways")).Json;
        Assert.Equal("moved.example.test:2222", Assert.Single(answer["gateways"]!.AsArray())!["ssh_address"]!.GetValue<string>());
        Assert.True(SshPublicKey.TryParseLine(answer["host_key"]!.GetValue<string>(), out var key, out _, out _));
        Assert.Equal(host.Control.Authorities.GatewayHostKey.PublicKey, key);
    }

    [Fact]
    public async Task A_gateway_is_listed_as_long_as_one_silo_has_it()
    {
        var directory = (SiloDirectory)host.Services.GetService(typeof(SiloDirectory))!;
        async Task<bool> ListedAsync() => (await directory.GatewaysAsync(Cancel)).Any(g => g.Name == "gw-2");
        await directory.GatewaySeenAsync("gw-2", "gw2.example.test:2222", "", 0, "0.1.0", "silo-a:7443", Cancel);
        await directory.GatewaySeenAsync("gw-2", "gw2.example.test:2222", "", 0, "0.1.0", "silo-b:7443", Cancel);

        // The silo that wrote last, as one does that is declared dead while it stands still.
        await directory.GatewayGoneAsync("gw-2", "silo-b:7443", Cancel);
        Assert.True(await ListedAsync());
        await directory.GatewayGoneAsync("gw-2", "silo-a:7443", Cancel);
        Assert.False(await ListedAsync());
        await directory.GatewaySeenAsync("gw-2", "gw2.example.test:2222", "", 0, "0.1.0", "silo-a:7443", Cancel);
        Assert.True(await ListedAsync());
        await directory.GatewayGoneAsync("gw-2", "silo-a:7443", Cancel);
    }

    [Fact]
    public async Task A_tokens_addresses_are_those_of_the_silos_that_are_up()
    {
        await using (var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel))
        {
            await connection.ExecuteAsync("""
                INSERT INTO silo_member (address, incarnation, status, connector_address) VALUES
                  ('up:7443', gen_random_uuid(), 'active', 'up:7444'), ('dead:7443', gen_random_uuid(), 'dead', 'dead:7444');
                """);
        }
        var name = host.Unique("addressed");
        await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = name });
        var token = (await host.Admin.PostAsync($"/connectors/{name}/tokens", new JsonObject { ["expires_in_days"] = 30 })).Json;
        Assert.True(Relay.Protocol.Tokens.JsonWebToken.TryParse(token["token"]!.GetValue<string>(), out var parsed));
        Assert.Equal(["up:7444"], parsed.Silos);
        Assert.Equal(token["expires_at"]!.GetValue<DateTimeOffset>(), parsed.ExpiresAt);
        Assert.Null((await host.Admin.GetAsync($"/connectors/{name}/tokens")).Json["list"]![0]!["token"]);
    }

    [Fact]
    public async Task The_setup_script_makes_a_stock_sshd_trust_the_ca_and_can_run_twice()
    {
        var directory = Directory.CreateTempSubdirectory("relay-setup-").FullName;
        if (Environment.IsPrivilegedProcess)
            Directory.CreateDirectory("/run/sshd");
        var script = await host.Admin.GetAsync("/organization/ssh_setup");
        await File.WriteAllTextAsync(Path.Combine(directory, "setup.sh"), script.Body, Cancel);
        using (var key = SshPrivateKey.Generate(SshKeyKind.Ed25519))
            await File.WriteAllTextAsync(Path.Combine(directory, "host_key"), key.ExportOpenSsh("host"), Cancel);
        File.SetUnixFileMode(Path.Combine(directory, "host_key"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        // A Match block at the end would swallow lines that are appended.
        await File.WriteAllTextAsync(Path.Combine(directory, "sshd_config"), $"HostKey {directory}/host_key\nMatch User backup\n  PermitTTY no\n", Cancel);
        try
        {
            await RunAsync(directory);
            var once = await File.ReadAllTextAsync(Path.Combine(directory, "sshd_config"), Cancel);
            await RunAsync(directory);
            Assert.Equal(once, await File.ReadAllTextAsync(Path.Combine(directory, "sshd_config"), Cancel));
            Assert.Equal("relay_ssh_signed\n", await File.ReadAllTextAsync(Path.Combine(directory, "relay_principals"), Cancel));
            Assert.Equal((await host.Admin.GetAsync("/organization")).Json["ssh_ca"]!.GetValue<string>() + "\n", await File.ReadAllTextAsync(Path.Combine(directory, "relay-ca.pub"), Cancel));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task RunAsync(string directory)
    {
        var result = await Command.RunAsync("/bin/sh", [Path.Combine(directory, "setup.sh")], new Dictionary<string, string?> { ["RELAY_SSH_DIR"] = directory }, cancellationToken: Cancel);
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("accepts Relay's certificates", result.Text, StringComparison.Ordinal);
    }

    private async Task<string> SocketAsync(string ssh)
    {
        var name = host.Unique("res");
        Assert.Equal(HttpStatusCode.Created, (await host.Admin.PostAsync("/sockets", JsonNode.Parse($$$$$"""{"name":"{{{{{name}}}}}","upstream_configuration":{"service_type":"ssh","ssh_service_configuration":{{{{{ssh}}}}}}}"""))).Status);
        return name;
    }

    private static async Task<string[]> ResourcesAsync(ApiClient user) =>
        [.. (await user.GetAsync("/client/resources")).Json["list"]!.AsArray().Select(r => r!["name"]!.GetValue<string>()).Order(StringComparer.Ordinal)];
}
