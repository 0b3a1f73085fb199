using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Relay.Protocol.Ssh;
using Xunit;

namespace Relay.Tests.Silo.Api;

/// <summary>Plants marked secrets through every door and looks for them everywhere else (L30).</summary>
public sealed class SecrecyTests(ApiHost host) : IClassFixture<ApiHost>
{
    private const string Password = "planted-upstream-password-5e1f";
    private const string UserPassword = "planted-user-password-9c2d";
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task No_secret_is_in_the_database_in_any_answer_or_in_the_log()
    {
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var pem = key.ExportOpenSsh("planted");
        var connector = host.Unique("secrecy");
        await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = connector });
        Created(await host.Admin.PostAsync("/sockets", Socket("by-password", "username_and_password", "password", Password)));
        Created(await host.Admin.PostAsync("/sockets", Socket("by-key", "private_key", "private_key", pem)));
        Created(await host.Admin.PostAsync("/users", new JsonObject { ["email"] = "planted@example.test", ["role"] = "read_only", ["password"] = UserPassword }));
        var reader = await host.LoginAsync("planted@example.test", UserPassword);
        var connectorToken = (await host.Admin.PostAsync($"/connectors/{connector}/tokens")).Json["token"]!.GetValue<string>();
        var gatewayToken = (await host.Admin.PostAsync("/gateway_tokens", new JsonObject { ["name"] = "gw" })).Json["token"]!.GetValue<string>();
        var preshared = Convert.ToBase64String(System.Security.Cryptography.RandomNumberGenerator.GetBytes(32));
        var publicKey = Relay.Protocol.WireGuard.WireGuardPrivateKey.PublicKey(Relay.Protocol.WireGuard.WireGuardPrivateKey.Generate()).ToString();
        Created(await reader.PostAsync("/devices", new JsonObject { ["name"] = "planted", ["public_key"] = publicKey, ["preshared_key"] = preshared }));
        // Failing requests must not carry them into errors or the log either.
        await host.Admin.PostAsync("/sockets", Socket("by-password", "username_and_password", "password", Password));
        await host.Admin.PostAsync("/sockets", Socket("bad name", "private_key", "private_key", pem[..200]));
        await host.Anonymous().PostAsync("/login", new JsonObject { ["email"] = "planted@example.test", ["password"] = UserPassword + "x" });
        await host.Anonymous().SendAsync("POST", "/login", $$"""{"email":"planted@example.test","password":"{{UserPassword}}" oops}""");

        var marks = new Dictionary<string, string>
        {
            ["upstream password"] = Password,
            ["user password"] = UserPassword,
            ["private key"] = pem.Split('\n')[2],
            ["connector token"] = connectorToken.Split('.')[2],
            ["gateway token"] = gatewayToken.Split('.')[2],
            ["login token"] = reader.Token!.Split('.')[2],
            ["preshared key"] = preshared,
            ["preshared key's bytes"] = Convert.ToHexStringLower(Convert.FromBase64String(preshared)),
            ["grid's WireGuard key"] = Convert.ToBase64String(host.Control.Authorities.WireGuardKey.Span),
            ["first password"] = host.AdminPassword,
        };
        var places = new Dictionary<string, string> { ["database"] = await host.Database.DumpAsync(Cancel), ["log"] = host.Log.Text };
        foreach (var path in new[] { "/me", "/users", "/users/planted@example.test", "/sockets", "/sockets/by-password", "/sockets/by-key", "/connectors", $"/connectors/{connector}/tokens", "/connector_tokens", "/gateway_tokens", "/audit_events?page_size=500", "/organization", "/client/resources", "/devices?user=*" })
        {
            places[$"{path} for an administrator"] = (await host.Admin.GetAsync(path)).Body;
            places[$"{path} for a reader"] = (await reader.GetAsync(path)).Body;
        }
        Assert.Contains("by-password", places["database"], StringComparison.Ordinal);
        foreach (var (what, mark) in marks)
        {
            foreach (var (where, text) in places)
            {
                Assert.False(text.Contains(mark, StringComparison.Ordinal), $"the {what} is in {where}");
                // bytea is dumped as hex.
                if (where == "database")
                    Assert.False(text.Contains(Convert.ToHexStringLower(Encoding.UTF8.GetBytes(mark)), StringComparison.Ordinal), $"the {what} is in {where} as bytes");
            }
        }
        Assert.DoesNotContain("PRIVATE KEY", places["log"], StringComparison.Ordinal);
    }

    private static void Created(ApiAnswer answer) => Assert.Equal(HttpStatusCode.Created, answer.Status);

    private static JsonObject Socket(string name, string authentication, string field, string secret) => new()
    {
        ["name"] = name,
        ["upstream_configuration"] = new JsonObject
        {
            ["service_type"] = "ssh",
            ["ssh_service_configuration"] = new JsonObject { ["ssh_service_type"] = "standard", ["hostname"] = "h", ["ssh_authentication_type"] = authentication, ["username"] = "ops", [field] = secret },
        },
    };
}
