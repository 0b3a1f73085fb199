using System.Net;
using System.Text.Json.Nodes;
using Dapper;
using Relay.Protocol.Tokens;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class LoginTests(ApiHost host) : IClassFixture<ApiHost>
{
    [Fact]
    public async Task A_login_says_who_it_is_and_logout_ends_it()
    {
        var user = await host.UserAsync("member");
        var me = await user.GetAsync("/me");
        Assert.Equal("member", me.Json["role"]!.GetValue<string>());
        Assert.Equal(user.Email, me.Json["email"]!.GetValue<string>());
        Assert.Equal("default", me.Json["organization"]!["name"]!.GetValue<string>());
        Assert.Equal(HttpStatusCode.NoContent, (await user.PostAsync("/logout")).Status);
        var after = await user.GetAsync("/me");
        Assert.Equal(HttpStatusCode.Unauthorized, after.Status);
        Assert.Equal("invalid token, please login", after.Json["error_message"]!.GetValue<string>());
    }

    [Fact]
    public async Task Without_a_token_the_answer_says_what_to_do()
    {
        var answer = await host.Anonymous().GetAsync("/me");
        Assert.Equal(HttpStatusCode.Unauthorized, answer.Status);
        Assert.Equal("please login first (no token found)", answer.Json["error_message"]!.GetValue<string>());
        Assert.Equal(answer.Headers.GetValues("X-Request-Id").Single(), answer.Json["request_id"]!.GetValue<string>());
    }

    [Theory]
    [InlineData("not a token")]
    [InlineData("eyJhbGciOiJub25lIn0.eyJ0eXBlIjoidXNlciJ9.")]
    [InlineData("")]
    public async Task A_token_that_is_none_is_refused(string token)
    {
        var answer = await new ApiClient(host.Address, token).GetAsync("/me");
        Assert.Equal(HttpStatusCode.Unauthorized, answer.Status);
    }

    [Fact]
    public async Task A_token_of_another_kind_is_no_login()
    {
        var created = await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = host.Unique("kind") });
        var token = (await host.Admin.PostAsync($"/connectors/{created.Json["name"]}/tokens")).Json["token"]!.GetValue<string>();
        Assert.True(JsonWebToken.TryParse(token, out _));
        Assert.Equal(HttpStatusCode.Unauthorized, (await new ApiClient(host.Address, token).GetAsync("/me")).Status);
    }

    [Fact]
    public async Task A_changed_token_is_refused()
    {
        var user = await host.UserAsync("admin");
        var parts = user.Token!.Split('.');
        var forged = $"{parts[0]}.{host.Admin.Token!.Split('.')[1]}.{parts[2]}";
        Assert.Equal(HttpStatusCode.Unauthorized, (await new ApiClient(host.Address, forged).GetAsync("/me")).Status);
    }

    [Fact]
    public async Task A_deleted_user_is_out_at_once()
    {
        var user = await host.UserAsync("admin");
        Assert.Equal(HttpStatusCode.OK, (await host.Admin.DeleteAsync($"/users/{user.UserId}")).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, (await user.GetAsync("/me")).Status);
    }

    [Fact]
    public async Task Wrong_password_and_unknown_user_look_alike_and_lock_alike()
    {
        var known = await host.UserAsync("client");
        await ForgiveAsync();
        foreach (var email in new[] { known.Email, "nobody-at-all@example.test" })
        {
            for (var i = 0; i < 5; i++)
            {
                var refused = await TryAsync(email, $"wrong password {i}");
                Assert.Equal(HttpStatusCode.Unauthorized, refused.Status);
                Assert.Equal("e-mail or password is wrong", refused.Json["error_message"]!.GetValue<string>());
            }
            // Now even the right password has to wait, so that guessing on learns nothing.
            var locked = await TryAsync(email, "correct horse battery");
            Assert.Equal(HttpStatusCode.TooManyRequests, locked.Status);
            Assert.InRange(int.Parse(locked.Headers.GetValues("Retry-After").Single(), System.Globalization.CultureInfo.InvariantCulture), 1, 30);
        }
        var shown = await host.Admin.GetAsync($"/users/{known.Email}");
        Assert.NotNull(shown.Json["locked_until"]);
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(TestContext.Current.CancellationToken);
        // The waits pass, the address is forgiven: the right password works again.
        await connection.ExecuteAsync("UPDATE login_throttle SET blocked_until = now() - interval '1 second'");
        Assert.Equal(HttpStatusCode.OK, (await TryAsync(known.Email, "correct horse battery")).Status);
    }

    [Fact]
    public async Task Parallel_guesses_cannot_slip_past_the_limit()
    {
        var user = await host.UserAsync("client");
        await ForgiveAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => TryAsync(user.Email, $"guess number {i}")));
        Assert.Equal(5, answers.Count(a => a.Status == HttpStatusCode.Unauthorized));
        Assert.Equal(15, answers.Count(a => a.Status == HttpStatusCode.TooManyRequests));
        await ForgiveAsync();
    }

    [Fact]
    public async Task Many_right_logins_at_once_are_no_guessing()
    {
        var user = await host.UserAsync("client");
        await ForgiveAsync();
        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => TryAsync(user.Email, "correct horse battery")));
        Assert.All(answers, a => Assert.Equal(HttpStatusCode.OK, a.Status));
    }

    [Fact]
    public async Task One_address_that_guesses_at_many_accounts_has_to_wait()
    {
        await ForgiveAsync();
        await using (var connection = await host.Database.DataSource.OpenConnectionAsync(TestContext.Current.CancellationToken))
        {
            // As after 99 failures; making them costs a password hash each.
            await TryAsync("spray-0@example.test", "Summer2026 Summer2026");
            await connection.ExecuteAsync("UPDATE login_throttle SET attempts = 99 WHERE attempts = 1 AND key <> @account",
                new { account = System.Security.Cryptography.SHA256.HashData("account:default/spray-0@example.test"u8) });
        }
        Assert.Equal(HttpStatusCode.Unauthorized, (await TryAsync("spray-1@example.test", "Summer2026 Summer2026")).Status);
        Assert.Equal(HttpStatusCode.TooManyRequests, (await TryAsync("spray-2@example.test", "Summer2026 Summer2026")).Status);
        await ForgiveAsync();
    }

    [Fact]
    public async Task Sign_ins_are_in_the_audit_trail()
    {
        var user = await host.UserAsync("client");
        await TryAsync(user.Email, "wrong password");
        var failed = await host.Admin.GetAsync($"/audit_events?actor={user.Email}&type=login.failure");
        Assert.Equal("failure", failed.Json["list"]![0]!["outcome"]!.GetValue<string>());
        var succeeded = await host.Admin.GetAsync($"/audit_events?actor={user.Email}&type=login.success");
        Assert.Equal("127.0.0.1", succeeded.Json["list"]![0]!["requestor_ip"]!.GetValue<string>());
    }

    [Fact]
    public async Task Changing_the_password_ends_the_other_logins()
    {
        var first = await host.UserAsync("client");
        var second = await host.LoginAsync(first.Email, "correct horse battery");
        var wrong = await first.PutAsync("/me/password", new JsonObject { ["current_password"] = "wrong password", ["new_password"] = "another long password" });
        Assert.Equal(["current_password"], wrong.Fields);
        var changed = await first.PutAsync("/me/password", new JsonObject { ["current_password"] = "correct horse battery", ["new_password"] = "another long password" });
        Assert.Equal(HttpStatusCode.NoContent, changed.Status);
        Assert.Equal(HttpStatusCode.OK, (await first.GetAsync("/me")).Status);
        Assert.Equal(HttpStatusCode.Unauthorized, (await second.GetAsync("/me")).Status);
        await host.LoginAsync(first.Email, "another long password");
    }

    [Fact]
    public async Task A_forwarded_address_is_not_believed()
    {
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(host.Address, "/api/v1/login"));
        request.Headers.Add("X-Forwarded-For", "203.0.113.7");
        request.Content = new StringContent("""{"email":"spoof@example.test","password":"wrong password"}""", System.Text.Encoding.UTF8, "application/json");
        using var response = await http.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        var events = await host.Admin.GetAsync("/audit_events?actor=spoof@example.test");
        Assert.Equal("127.0.0.1", events.Json["list"]![0]!["requestor_ip"]!.GetValue<string>());
    }

    // All tests come from one address, which has a limit of its own.
    private async Task ForgiveAsync()
    {
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await connection.ExecuteAsync("DELETE FROM login_throttle");
    }

    private Task<ApiAnswer> TryAsync(string email, string password) =>
        host.Anonymous().PostAsync("/login", new JsonObject { ["email"] = email, ["password"] = password });
}
