using System.Net;
using System.Text.Json.Nodes;
using Dapper;
using Relay.Protocol.Ssh;
using Xunit;

namespace Relay.Tests.Silo.Api;

/// <summary>Users, groups, keys.</summary>
public sealed class IdentityTests(ApiHost host) : IClassFixture<ApiHost>
{
    [Fact]
    public async Task A_user_is_created_with_little_and_shows_no_password()
    {
        var email = $"{host.Unique("new")}@example.test";
        var created = await host.Admin.PostAsync("/users", new JsonObject { ["email"] = email });
        Assert.Equal(("client", false), (created.Json["role"]!.GetValue<string>(), created.Json["password"]!["set"]!.GetValue<bool>()));
        var again = await host.Admin.PostAsync("/users", new JsonObject { ["email"] = email.ToUpperInvariant() });
        Assert.Equal((HttpStatusCode.Conflict, "name_taken"), (again.Status, again.Code));
        Assert.Equal(HttpStatusCode.Unauthorized, (await host.Anonymous().PostAsync("/login", new JsonObject { ["email"] = email, ["password"] = "any password at all" })).Status);
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("a b@example.test")]
    [InlineData("a@b@example.test")]
    [InlineData("a\"b@example.test")]
    [InlineData("a@example.test\n")]
    [InlineData("@example.test")]
    [InlineData("a@")]
    public async Task Addresses_that_certificates_and_logs_could_trip_over_are_refused(string email) =>
        Assert.Equal(["email"], (await host.Admin.PostAsync("/users", new JsonObject { ["email"] = email })).Fields);

    [Fact]
    public async Task All_wrong_fields_of_a_user_are_named_at_once()
    {
        var answer = await host.Admin.PostAsync("/users", new JsonObject { ["email"] = "x", ["role"] = "owner", ["password"] = "short", ["display_name"] = "a\tb" });
        Assert.Equal(["display_name", "email", "password", "role"], answer.Fields);
    }

    [Fact]
    public async Task A_new_password_ends_the_users_logins_and_a_new_role_counts_at_once()
    {
        var user = await host.UserAsync("client");
        Assert.Equal(HttpStatusCode.Forbidden, (await user.GetAsync("/connectors")).Status);
        await host.Admin.PatchAsync($"/users/{user.Email}", new JsonObject { ["role"] = "member" });
        Assert.Equal(HttpStatusCode.OK, (await user.GetAsync("/connectors")).Status);
        await host.Admin.PatchAsync($"/users/{user.Email}", new JsonObject { ["password"] = "another long password" });
        Assert.Equal(HttpStatusCode.Unauthorized, (await user.GetAsync("/me")).Status);
        await host.LoginAsync(user.Email, "another long password");
    }

    [Fact]
    public async Task An_administrator_sets_their_own_password_only_by_proving_the_present_one()
    {
        var admin = await host.UserAsync("admin");
        Assert.Equal(HttpStatusCode.Forbidden, (await admin.PatchAsync($"/users/{admin.UserId}", new JsonObject { ["password"] = "taken over by a thief" })).Status);
    }

    [Fact]
    public async Task Groups_keep_their_members()
    {
        var first = await host.UserAsync("client");
        var second = await host.UserAsync("client");
        var name = host.Unique("Team");
        var created = await host.Admin.PostAsync("/groups", new JsonObject { ["display_name"] = name, ["members"] = new JsonArray(first.Email) });
        Assert.Equal([first.Email], Members(created));
        Assert.Equal([first.Email, second.Email], Members(await host.Admin.PutAsync($"/groups/{name}/members/{second.UserId}")));
        Assert.Equal([first.Email, second.Email], Members(await host.Admin.PutAsync($"/groups/{name}/members/{second.UserId}")));
        Assert.Equal(name, (await host.Admin.GetAsync($"/users/{second.Email}")).Json["groups"]![0]!["name"]!.GetValue<string>());
        Assert.Equal([second.Email], Members(await host.Admin.PatchAsync($"/groups/{name}", new JsonObject { ["members"] = new JsonArray(second.Email) })));
        var wrong = await host.Admin.PatchAsync($"/groups/{name}", new JsonObject { ["members"] = new JsonArray(second.Email, "no-one@example.test") });
        Assert.Equal(["members[1]"], wrong.Fields);
        Assert.Equal((HttpStatusCode.Conflict, "name_taken"), (await host.Admin.PostAsync("/groups", new JsonObject { ["display_name"] = name.ToLowerInvariant() })) is var t ? (t.Status, t.Code) : default);
        await host.Admin.DeleteAsync($"/users/{second.Email}");
        Assert.Empty(Members(await host.Admin.GetAsync($"/groups/{name}")));
        var listed = await host.Admin.GetAsync($"/users?group={Uri.EscapeDataString(name)}");
        Assert.Empty(listed.Json["list"]!.AsArray());
    }

    [Fact]
    public async Task A_key_belongs_to_one_user_and_is_theirs_to_remove()
    {
        var first = await host.UserAsync("client");
        var second = await host.UserAsync("client");
        // One whose fingerprint has a slash, which paths treat specially.
        SshPrivateKey key;
        while (!(key = SshPrivateKey.Generate(SshKeyKind.Ed25519)).PublicKey.Fingerprint.Contains('/', StringComparison.Ordinal))
            key.Dispose();
        using var owned = key;
        var line = key.PublicKey.ToLine("laptop");
        var created = await first.PostAsync("/me/ssh_keys", new JsonObject { ["public_key"] = line });
        Assert.Equal((HttpStatusCode.Created, "laptop", key.PublicKey.Fingerprint), (created.Status, created.Json["name"]!.GetValue<string>(), created.Json["fingerprint"]!.GetValue<string>()));
        Assert.Equal(HttpStatusCode.Conflict, (await second.PostAsync("/me/ssh_keys", new JsonObject { ["public_key"] = line })).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await second.DeleteAsync($"/me/ssh_keys/{created.Json["key_id"]}")).Status);
        Assert.Single((await host.Admin.GetAsync($"/users/{first.Email}/ssh_keys")).Json["list"]!.AsArray());
        Assert.Equal(HttpStatusCode.OK, (await first.DeleteAsync($"/me/ssh_keys/{Uri.EscapeDataString(key.PublicKey.Fingerprint)}")).Status);
        Assert.Empty((await first.GetAsync("/me/ssh_keys")).Json["list"]!.AsArray());
    }

    [Fact]
    public async Task A_private_key_sent_by_mistake_is_refused_and_not_kept()
    {
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var pem = key.ExportOpenSsh("oops");
        var refused = await host.Admin.PostAsync("/me/ssh_keys", new JsonObject { ["public_key"] = pem });
        Assert.Equal(["public_key"], refused.Fields);
        Assert.Contains("is a private key", refused.Body, StringComparison.Ordinal);
        Assert.DoesNotContain(pem.Split('\n')[2], refused.Body + host.Log.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_event_is_written_in_the_transaction_of_what_it_reports()
    {
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(TestContext.Current.CancellationToken);
        // Without its event a write must not happen: the trail is broken on purpose.
        await connection.ExecuteAsync("ALTER TABLE audit_event ADD CONSTRAINT broken CHECK (action_type <> 'group.create') NOT VALID");
        var name = host.Unique("unseen");
        Assert.Equal(HttpStatusCode.InternalServerError, (await host.Admin.PostAsync("/groups", new JsonObject { ["display_name"] = name })).Status);
        await connection.ExecuteAsync("ALTER TABLE audit_event DROP CONSTRAINT broken");
        Assert.Equal(HttpStatusCode.NotFound, (await host.Admin.GetAsync($"/groups/{name}")).Status);
    }

    private static string[] Members(ApiAnswer answer) => [.. answer.Json["members"]!.AsArray().Select(m => m!["name"]!.GetValue<string>())];
}
