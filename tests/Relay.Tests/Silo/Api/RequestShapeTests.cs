using System.Net;
using System.Text.Json.Nodes;
using Relay.Silo.Api.Http;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class RequestShapeTests(ApiHost host) : IClassFixture<ApiHost>
{
    [Theory]
    [InlineData("", 1, 1)]
    [InlineData("{", 1, 2)]
    [InlineData("{\n  \"name\": \"a\",\n  \"description\": nope\n}", 3, 19)]
    [InlineData("{\"name\": \"a\",}", 1, 14)]
    [InlineData("{\"name\": 'a'}", 1, 10)]
    [InlineData("{} trailing", 1, 4)]
    public async Task Malformed_json_is_refused_with_its_position(string body, int line, int at)
    {
        var answer = await host.Admin.SendAsync("POST", "/connectors", body);
        Assert.Equal(HttpStatusCode.BadRequest, answer.Status);
        Assert.Equal("invalid_json", answer.Code);
        Assert.Equal($"the body is not valid JSON at line {line}, byte {at}", answer.Json["error_message"]!.GetValue<string>());
    }

    [Fact]
    public async Task Every_unknown_mistyped_and_repeated_field_is_named_at_once()
    {
        var answer = await host.Admin.SendAsync("POST", "/sockets", """
            {"name": 7, "nmae": "x", "recording_enabled": "yes", "recording_enabled": true, "connector_ids": "prod", "tags": {"a": 1, "b": null},
             "upstream_configuration": {"service_type": "ssh", "ssh_service_configuration": {"port": "22", "hostnam": "h"}}}
            """);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.Status);
        Assert.Equal("invalid", answer.Code);
        Assert.Equal(
        [
            "connector_ids", "name", "nmae", "recording_enabled", "recording_enabled", "tags.a", "tags.b",
            "upstream_configuration.ssh_service_configuration.hostnam", "upstream_configuration.ssh_service_configuration.port",
        ], answer.Fields);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("\"text\"")]
    [InlineData("7")]
    public async Task A_body_that_is_no_object_is_refused(string body) =>
        Assert.Equal(HttpStatusCode.UnprocessableEntity, (await host.Admin.SendAsync("POST", "/connectors", body)).Status);

    [Theory]
    [InlineData("""{"name":"a\u0000b"}""", "name")]
    [InlineData("""{"name":"\ud800"}""", "name")]
    [InlineData("""{"name":"fine","description":"x\u0000"}""", "description")]
    [InlineData("""{"na\u0000me":"x"}""", "")]
    public async Task Text_that_no_database_can_hold_is_refused_by_name(string body, string field)
    {
        var answer = await host.Admin.SendAsync("POST", "/connectors", body);
        Assert.Equal(HttpStatusCode.UnprocessableEntity, answer.Status);
        Assert.Equal([field], answer.Fields);
    }

    [Fact]
    public async Task A_body_that_is_too_large_is_refused_whether_or_not_it_says_so()
    {
        var big = $$"""{"name":"{{new string('a', RequestReader.MaxBodyBytes)}}"}""";
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, (await host.Admin.SendAsync("POST", "/connectors", big)).Status);
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(host.Address, "/api/v1/connectors"));
        request.Headers.Authorization = new("Bearer", host.Admin.Token);
        request.Headers.TransferEncodingChunked = true;
        request.Content = new StreamContent(new MemoryStream(System.Text.Encoding.UTF8.GetBytes(big)));
        request.Content.Headers.ContentType = new("application/json");
        using var response = await http.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
    }

    [Fact]
    public async Task Deeply_nested_json_is_refused_not_followed()
    {
        var deep = string.Concat(Enumerable.Repeat("[", 5000));
        var answer = await host.Admin.SendAsync("POST", "/policies", $$"""{"name":"deep","policy_data":{{deep}}""");
        Assert.Equal(HttpStatusCode.BadRequest, answer.Status);
    }

    [Fact]
    public async Task Another_content_type_is_refused() =>
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, (await host.Admin.SendAsync("POST", "/connectors", "name=x", contentType: "application/x-www-form-urlencoded")).Status);

    [Fact]
    public async Task Unknown_paths_and_methods_have_the_same_error_shape()
    {
        var path = await host.Admin.GetAsync("/no/such/thing");
        Assert.Equal((HttpStatusCode.NotFound, "not_found"), (path.Status, path.Code));
        var method = await host.Admin.SendAsync("PUT", "/connectors", "{}");
        Assert.Equal((HttpStatusCode.MethodNotAllowed, "method_not_allowed"), (method.Status, method.Code));
        Assert.Contains("GET", method.Json["error_message"]!.GetValue<string>(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/connectors?nmae=x", "nmae")]
    [InlineData("/sessions?page=2", "page")]
    [InlineData("/audit_events?since=yesterday", "since")]
    [InlineData("/users?email=a&email=b", "email")]
    [InlineData("/policies?Name=x", "Name")]
    public async Task An_unknown_filter_is_refused_never_ignored(string path, string field)
    {
        var answer = await host.Admin.GetAsync(path);
        Assert.Equal((HttpStatusCode.BadRequest, "unknown_filter"), (answer.Status, answer.Code));
        Assert.Equal([field], answer.Fields);
    }

    [Theory]
    [InlineData("/sessions?from=tomorrow-ish")]
    [InlineData("/sessions?live=maybe")]
    [InlineData("/sessions?result=great")]
    [InlineData("/sessions?cursor=zzz")]
    [InlineData("/audit_events?cursor=-1")]
    [InlineData("/connectors?page=0")]
    [InlineData("/connectors?page_size=501")]
    [InlineData("/connectors?page=99999999999")]
    [InlineData("/connectors?name=%00")]
    public async Task A_filter_that_makes_no_sense_is_refused(string path) =>
        Assert.Equal(HttpStatusCode.BadRequest, (await host.Admin.GetAsync(path)).Status);

    [Fact]
    public async Task Pages_cover_a_list_without_gap_or_repetition()
    {
        var prefix = host.Unique("page");
        for (var i = 0; i < 7; i++)
            await host.Admin.PostAsync("/groups", new JsonObject { ["display_name"] = $"{prefix} {i}" });
        var seen = new List<string>();
        int? page = 1;
        while (page is not null)
        {
            var answer = (await host.Admin.GetAsync($"/groups?page={page}&page_size=3")).Json;
            var pagination = answer["pagination"]!;
            Assert.Equal(page, pagination["current_page"]!.GetValue<int>());
            Assert.Equal(3, pagination["records_per_page"]!.GetValue<int>());
            Assert.Equal((pagination["total_records"]!.GetValue<int>() + 2) / 3, pagination["total_pages"]!.GetValue<int>());
            seen.AddRange(answer["list"]!.AsArray().Select(g => g!["display_name"]!.GetValue<string>()));
            page = pagination["next_page"]?.GetValue<int>();
        }
        Assert.Equal(7, seen.Count(s => s.StartsWith(prefix, StringComparison.Ordinal)));
        Assert.Equal(seen.Distinct(), seen);
    }

    [Theory]
    [InlineData("with space")]
    [InlineData("-front")]
    [InlineData("back-")]
    [InlineData("dot.ted")]
    [InlineData("$(id)")]
    [InlineData("a\"b")]
    [InlineData("a%b")]
    [InlineData("a\\b")]
    [InlineData("a;b")]
    [InlineData("a\nb")]
    [InlineData("name\n")]
    [InlineData("ünïcode")]
    [InlineData("01234567-89ab-cdef-0123-456789abcdef")]
    [InlineData("a123456789012345678901234567890123456789012345678901234567890123")]
    public async Task Names_that_could_reach_a_shell_are_refused_everywhere(string name)
    {
        // L19: such names would end up in ssh configurations and ProxyCommands.
        foreach (var path in new[] { "/connectors", "/sockets", "/policies" })
            Assert.Contains("name", (await host.Admin.PostAsync(path, new JsonObject { ["name"] = name })).Fields);
    }

    [Fact]
    public async Task Names_are_unique_whatever_the_case_and_found_whatever_the_case()
    {
        var name = host.Unique("MixedCase");
        Assert.Equal(HttpStatusCode.Created, (await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = name })).Status);
        var again = await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = name.ToUpperInvariant() });
        Assert.Equal((HttpStatusCode.Conflict, "name_taken"), (again.Status, again.Code));
        Assert.Equal(name, (await host.Admin.GetAsync($"/connectors/{name.ToLowerInvariant()}")).Json["name"]!.GetValue<string>());
    }

    [Fact]
    public async Task Things_are_found_by_id_and_by_name_and_else_not_at_all()
    {
        var name = host.Unique("either");
        var id = (await host.Admin.PostAsync("/connectors", new JsonObject { ["name"] = name })).Json["connector_id"]!.GetValue<string>();
        Assert.Equal(id, (await host.Admin.GetAsync($"/connectors/{name}")).Json["connector_id"]!.GetValue<string>());
        Assert.Equal(name, (await host.Admin.GetAsync($"/connectors/{id}")).Json["name"]!.GetValue<string>());
        var missing = await host.Admin.GetAsync($"/connectors/{Guid.NewGuid()}");
        Assert.Equal((HttpStatusCode.NotFound, "not_found"), (missing.Status, missing.Code));
    }
}
