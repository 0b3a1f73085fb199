using System.Text.Json;
using System.Text.Json.Nodes;
using Relay.Silo.Api.Http;
using Relay.TestKit;
using Xunit;

namespace Relay.Tests.Silo.Api;

public sealed class OpenApiTests(ApiHost host) : IClassFixture<ApiHost>
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    [Fact]
    public async Task The_document_is_the_one_in_the_repository()
    {
        var document = (await host.Anonymous().GetAsync("/openapi.json")).Json;
        var actual = document.ToJsonString(Indented).ReplaceLineEndings("\n") + "\n";
        var path = Path.Combine(RepositoryRoot.Path, "tests/Relay.Tests/Silo/Api/openapi.json");
        var expected = File.Exists(path) ? await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken) : "";
        if (actual == expected)
            return;
        var written = Path.Combine(RepositoryRoot.Path, ".artifacts/openapi.json");
        await File.WriteAllTextAsync(written, actual, TestContext.Current.CancellationToken);
        Assert.Fail($"the API's contract changed: look at the difference, and if it is meant, run\n  cp {written} {path}");
    }

    [Fact]
    public async Task Every_endpoint_of_the_access_table_is_described_and_nothing_else()
    {
        var document = (await host.Anonymous().GetAsync("/openapi.json")).Json;
        var described = document["paths"]!.AsObject().SelectMany(p => p.Value!.AsObject().Select(o => $"{o.Key.ToUpperInvariant()} {p.Key["/api/v1".Length..]}"));
        Assert.Equal(ApiAccess.All.Keys.Order(StringComparer.Ordinal), described.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Names_in_the_document_are_those_on_the_wire()
    {
        var document = (await host.Anonymous().GetAsync("/openapi.json")).Json;
        var schemas = document["components"]!["schemas"]!.AsObject();
        Assert.Contains("ssh_authentication_type", schemas["SshServiceConfigurationWrite"]!["properties"]!.AsObject().Select(p => p.Key));
        foreach (var (schema, definition) in schemas)
        {
            foreach (var (property, _) in definition!["properties"] as JsonObject ?? [])
                Assert.True(property.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '_'), $"{schema}.{property}");
        }
    }
}
