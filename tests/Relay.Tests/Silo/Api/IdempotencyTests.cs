using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Dapper;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class IdempotencyTests(ApiHost host) : IClassFixture<ApiHost>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_repeated_create_gets_the_first_answer_and_makes_nothing_twice()
    {
        var body = new JsonObject { ["name"] = host.Unique("once") }.ToJsonString();
        var first = await PostAsync("/connectors", body, "key-1");
        var again = await PostAsync("/connectors", body, "key-1");
        Assert.Equal((HttpStatusCode.Created, first.Body), (again.Status, again.Body));
        Assert.Equal(first.Location, again.Location);
        Assert.False(first.Replayed);
        Assert.True(again.Replayed);
        Assert.Equal(HttpStatusCode.Conflict, (await PostAsync("/connectors", body, "key-2")).Status);
        Assert.Equal(HttpStatusCode.Conflict, (await PostAsync("/connectors", body, null)).Status);
    }

    [Fact]
    public async Task A_token_is_not_minted_twice_and_the_stored_answer_does_not_show_it()
    {
        var name = host.Unique("minted");
        await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = name });
        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => PostAsync($"/connectors/{name}/tokens", "{}", "mint")));
        Assert.Single(answers.Select(a => a.Body).Distinct());
        Assert.Single((await host.Admin.GetAsync($"/connectors/{name}/tokens")).Json["list"]!.AsArray());
        var signature = JsonNode.Parse(answers[0].Body)!["token"]!.GetValue<string>().Split('.')[2];
        var dump = await host.Database.DumpAsync(Cancel);
        Assert.DoesNotContain(signature, dump, StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToHexStringLower(Encoding.ASCII.GetBytes(signature)), dump, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_is_for_one_request_of_one_user_for_a_day()
    {
        Assert.Equal(HttpStatusCode.Created, (await PostAsync("/groups", $$"""{"display_name":"{{host.Unique("g")}}"}""", "shared")).Status);
        var other = await PostAsync("/groups", $$"""{"display_name":"{{host.Unique("g")}}"}""", "shared");
        Assert.Equal(HttpStatusCode.UnprocessableEntity, other.Status);
        Assert.Contains("idempotency_key_reused", other.Body, StringComparison.Ordinal);
        var admin = await host.UserAsync("admin");
        Assert.Equal(HttpStatusCode.Created, (await PostAsync("/groups", $$"""{"display_name":"{{host.Unique("g")}}"}""", "shared", admin.Token)).Status);
        await using var connection = await host.Database.DataSource.OpenConnectionAsync(Cancel);
        await connection.ExecuteAsync("UPDATE idempotency_key SET created_at = now() - interval '25 hours'");
        Assert.Equal(HttpStatusCode.Created, (await PostAsync("/groups", $$"""{"display_name":"{{host.Unique("g")}}"}""", "shared")).Status);
    }

    [Theory]
    [InlineData("")]
    [InlineData("with space")]
    [InlineData("a23456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789")]
    public async Task A_key_that_is_none_is_refused(string key) =>
        Assert.Equal(HttpStatusCode.BadRequest, (await PostAsync("/groups", """{"display_name":"never"}""", key)).Status);

    [Fact]
    public async Task A_refused_create_leaves_the_key_free()
    {
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await PostAsync("/groups", "{}", "retry")).Status);
        Assert.Equal(HttpStatusCode.Created, (await PostAsync("/groups", $$"""{"display_name":"{{host.Unique("g")}}"}""", "retry")).Status);
    }

    private async Task<(HttpStatusCode Status, string Body, string? Location, bool Replayed)> PostAsync(string path, string body, string? key, string? token = null)
    {
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(host.Address, "/api/v1" + path)) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token ?? host.Admin.Token);
        if (key is not null)
            request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        using var response = await http.SendAsync(request, Cancel);
        return (response.StatusCode, await response.Content.ReadAsStringAsync(Cancel), response.Headers.Location?.ToString(), response.Headers.Contains("Idempotency-Replayed"));
    }
}
