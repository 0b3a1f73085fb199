using System.Net;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Relay.Api;
using Relay.Silo.Api.Http;
using Xunit;

namespace Relay.Tests.Silo.Api;

/// <summary>Every endpoint times every role, from the routes that are really mapped (L36: each has its own permission).</summary>
public sealed class AccessMatrixTests(ApiHost host) : IClassFixture<ApiHost>
{
    // What must never be possible, said a second time and apart from the table in the code.
    private static readonly string[] AdminOnly =
    [
        "POST /users", "PATCH /users/{user}", "DELETE /users/{user}", "POST /users/{user}/ssh_keys", "DELETE /users/{user}/ssh_keys/{key}",
        "POST /groups", "PATCH /groups/{group}", "DELETE /groups/{group}", "PUT /groups/{group}/members/{user}", "DELETE /groups/{group}/members/{user}",
        "POST /policies", "PATCH /policies/{policy}", "DELETE /policies/{policy}", "PUT /policies/{policy}/sockets", "PUT /sockets/{socket}/policies",
        "POST /gateway_tokens", "DELETE /gateway_tokens/{token}", "POST /sessions/kill", "PATCH /organization",
    ];

    [Fact]
    public async Task Each_endpoint_admits_exactly_the_roles_of_the_table()
    {
        var roles = new Dictionary<Roles, ApiClient>
        {
            [Roles.Admin] = await host.UserAsync("admin"),
            [Roles.Member] = await host.UserAsync("member"),
            [Roles.ReadOnly] = await host.UserAsync("read_only"),
            [Roles.Client] = await host.UserAsync("client"),
        };
        var endpoints = Endpoints();
        Assert.Equal(ApiAccess.All.Count, endpoints.Count);
        var wrong = new List<string>();
        foreach (var (method, pattern) in endpoints.OrderBy(e => e.Pattern == "/logout"))
        {
            var allowed = ApiAccess.For(method, pattern);
            var path = Fill(pattern);
            var anonymous = await host.Anonymous().SendAsync(method, path, null);
            if (allowed != Roles.Anyone && anonymous.Status != HttpStatusCode.Unauthorized)
                wrong.Add($"{method} {pattern} answers {anonymous.Status} without a token");
            if (allowed == Roles.Anyone)
                continue;
            foreach (var (role, client) in roles)
            {
                var answer = await client.SendAsync(method, path, null);
                var admitted = answer.Status is not (HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden);
                if (admitted != allowed.HasFlag(role))
                    wrong.Add($"{method} {pattern} answers {answer.Status} to {role}");
            }
        }
        Assert.Empty(wrong);
    }

    [Fact]
    public void What_grants_access_is_for_administrators_alone()
    {
        foreach (var endpoint in AdminOnly)
            Assert.Equal(Roles.Admin, ApiAccess.All[endpoint]);
        // Nothing but reading, and what is one's own, for those who only read.
        var mayWrite = ApiAccess.All.Where(e => e.Value.HasFlag(Roles.ReadOnly) && !e.Key.StartsWith("GET ", StringComparison.Ordinal)).Select(e => e.Key).Order(StringComparer.Ordinal);
        Assert.Equal(
        [
            "DELETE /devices/{device}", "DELETE /me/ssh_keys/{key}", "PATCH /devices/{device}", "POST /client/ssh_certificate", "POST /devices", "POST /devices/{device}/renew", "POST /logout", "POST /me/ssh_keys", "POST /policies/{policy}/test", "POST /sessions/{session}/kill", "POST /sockets/{socket}/evaluate", "PUT /me/password",
        ], mayWrite);
        Assert.Equal("POST /login", Assert.Single(ApiAccess.All, e => e.Value.HasFlag(Roles.Anyone)).Key);
    }

    [Fact]
    public async Task A_refusal_says_why_and_is_in_the_audit_trail()
    {
        var client = await host.UserAsync("client");
        var refused = await client.PostAsync("/users", new System.Text.Json.Nodes.JsonObject { ["email"] = "x@example.test" });
        Assert.Equal("forbidden", refused.Code);
        Assert.Contains("the role client may not do this; it takes admin", refused.Body, StringComparison.Ordinal);
        var events = await host.Admin.GetAsync($"/audit_events?actor={client.Email}&type=api.denied");
        var written = Assert.Single(events.Json["list"]!.AsArray());
        Assert.Equal("denied", written!["outcome"]!.GetValue<string>());
        Assert.Equal("POST /api/v1/users", written["resource_id"]!.GetValue<string>());
        Assert.Equal(refused.Json["request_id"]!.GetValue<string>(), written["request_id"]!.GetValue<string>());
    }

    [Fact]
    public async Task Nobody_changes_their_own_role_and_nobody_deletes_themselves()
    {
        var admin = await host.UserAsync("admin");
        Assert.Equal(HttpStatusCode.Forbidden, (await admin.PatchAsync($"/users/{admin.UserId}", new System.Text.Json.Nodes.JsonObject { ["role"] = "member" })).Status);
        Assert.Equal(HttpStatusCode.Forbidden, (await admin.DeleteAsync($"/users/{admin.Email}")).Status);
        Assert.Equal("admin", (await admin.GetAsync("/me")).Json["role"]!.GetValue<string>());
    }

    private List<(string Method, string Pattern)> Endpoints() =>
        [.. host.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
            .Where(e => e.Metadata.GetMetadata<AccessRule>() is not null)
            .Select(e => (e.Metadata.GetMetadata<IHttpMethodMetadata>()!.HttpMethods.Single(), e.RoutePattern.RawText![ApiRoutes.Base.Length..]))];

    // Names that do not exist: whoever is admitted gets 404 or 422, and nothing is changed.
    private static string Fill(string pattern) =>
        string.Join('/', pattern.Split('/').Select(p => p.StartsWith('{') ? "00000000-0000-0000-0000-00000000dead" : p));
}
