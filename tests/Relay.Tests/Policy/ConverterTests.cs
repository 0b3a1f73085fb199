using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class ConverterTests
{
    [Theory]
    [InlineData("""["ssh"]""", """{"ssh":{}}""")]
    [InlineData("""["ssh:*","ssh:shell"]""", """{"ssh":{}}""")]
    [InlineData("""["ssh:shell","ssh:tcp_forwarding","http:*","tls"]""", """{"ssh":{"shell":{},"tcp_forwarding":{}},"http":{},"tls":{}}""")]
    [InlineData("""["database"]""", """{"database":{}}""")]
    [InlineData("""["database:SELECT","database:ReadOnly"]""", """{"database":{"allowed_databases":[{"database":"*","allowed_query_types":["ReadOnly","SELECT"]}]}}""")]
    [InlineData("""[]""", """{}""")]
    public void Actions_become_permissions(string actions, string permissions)
    {
        var v1 = $$$$"""{"version":"v1","action":{{{{actions}}}},"condition":{"who":{"email":["a@b.c"],"domain":[]},"when":{"before":null}}}""";
        Assert.True(PolicyConverter.TryConvert(Encoding.UTF8.GetBytes(v1), out var v2, out var errors), string.Join('\n', errors));
        Assert.Equal(
            $$$$"""{"permissions":{{{{permissions}}}},"condition":{"who":{"email":["a@b.c"]},"when":{"before":null}}}""",
            string.Concat(v2.Where(c => !char.IsWhiteSpace(c))));
    }

    [Theory]
    [InlineData("""{"version":"v1","action":["ssh"],"condition":{"who":{"domain":["b.c"]}}}""", "$.condition.who.domain")]
    [InlineData("""{"version":"v1","action":["ssh"],"condition":{"who":{}},"integrations":[{"integration_name":"x"}]}""", "$.integrations")]
    [InlineData("""{"permissions":{},"condition":{"who":{}}}""", "$.version")]
    [InlineData("""{"version":"v1","action":["shh"],"condition":{"who":{}}}""", "$.action[0]")]
    [InlineData("""nonsense""", "$")]
    public void What_v2_cannot_say_is_not_converted(string json, string path)
    {
        Assert.False(PolicyConverter.TryConvert(Encoding.UTF8.GetBytes(json), out var v2, out var errors));
        Assert.Null(v2);
        Assert.Equal(path, Assert.Single(errors).Path);
    }

    [Fact]
    public void Converted_policy_allows_exactly_what_the_original_allows()
    {
        var converted = 0;
        Checked.ForAll(RandomPolicies.Scenarios, 4_000, scenario => scenario.Policies.Where(policy => policy.Json.StartsWith("""{"version":"v1""", StringComparison.Ordinal)).All(policy =>
        {
            if (!PolicyConverter.TryConvert(Encoding.UTF8.GetBytes(policy.Json), out var v2, out _))
                return true;
            converted++;
            return RandomPolicies.Compile([policy]).Evaluate(scenario.Request).Allowed == RandomPolicies.Compile([policy with { Json = v2 }]).Evaluate(scenario.Request).Allowed;
        }));
        Assert.True(converted > 300, $"only {converted} were converted");
    }
}
