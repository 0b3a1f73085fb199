using System.Text.RegularExpressions;
using Relay.Protocol.Hosting;

namespace Relay.Tests.Protocol.Hosting;

/// <summary>L27: a setting that would not be applied does not look applied.</summary>
public sealed partial class RelayVariablesTests
{
    [Theory]
    [InlineData("RELAY_SSH_LISTN", "RELAY_SSH_LISTN is not a setting of Relay: did you mean RELAY_SSH_LISTEN?")]
    [InlineData("RELAY_DATABSE", "RELAY_DATABSE is not a setting of Relay: did you mean RELAY_DATABASE?")]
    [InlineData("RELAY_MFA_REQUIRED_FOR_ALL", "RELAY_MFA_REQUIRED_FOR_ALL is not a setting of Relay and would not be applied: unset it.")]
    public void What_no_program_reads_is_named_without_its_value(string name, string problem) =>
        Assert.Equal([problem], RelayVariables.Problems([new(name, "a-secret"), new("RELAY_API", "http://x"), new("PATH", "/bin")]));

    [Theory]
    [InlineData("RELAY_SILO_SERVICE_HOST", "10.0.0.1")]
    [InlineData("RELAY_SILO_SERVICE_PORT_API", "8080")]
    [InlineData("RELAY_SILO_PORT", "tcp://10.0.0.1:8080")]
    [InlineData("RELAY_SILO_PORT_8080_TCP_ADDR", "10.0.0.1")]
    [InlineData("RELAY_TEST_SEED", "1")]
    public void What_kubernetes_says_about_services_is_no_setting(string name, string value) => Assert.Empty(RelayVariables.Problems([new(name, value)]));

    // A program that reads a new variable and forgets the list would refuse to start wherever it is set.
    [Fact]
    public void Every_variable_in_the_source_is_known_and_the_other_way_round()
    {
        var read = Directory.EnumerateFiles(Path.Combine(RepositoryRoot.Path, "src"), "*.*", SearchOption.AllDirectories)
            .Where(f => Path.GetExtension(f) is ".cs" or ".sh" && !f.Contains("/obj/", StringComparison.Ordinal) && Path.GetFileName(f) != "RelayVariables.cs")
            .SelectMany(f => Name().Matches(File.ReadAllText(f)).Select(m => m.Value))
            .Concat(Relay.Silo.Hosting.SiloOptionsReader.Variables);
        Assert.Equal(RelayVariables.Known.Order(StringComparer.Ordinal), read.Where(v => !v.StartsWith("RELAY_TEST_", StringComparison.Ordinal)).Distinct().Order(StringComparer.Ordinal));
    }

    [GeneratedRegex(@"\bRELAY_[A-Z][A-Z_]*[A-Z]\b")]
    private static partial Regex Name();
}
