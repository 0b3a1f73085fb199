using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>The short form of <c>make chaos</c>: fixed seeds, a few faults, all invariants. Where it cannot run it fails and says why.</summary>
public sealed class ChaosTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(6);

    [Theory]
    [InlineData(3, 3, "silo.kill,agent.kill,right.policy")]
    [InlineData(5, 3, "gateway.kill,silo.freeze-short,right.kill")]
    public async Task Nothing_that_must_never_happen_does(int seed, int rounds, string only)
    {
        var result = await Command.RunAsync(RelayPrograms.Chaos,
            ["--seed", $"{seed}", "--rounds", $"{rounds}", "--only", only, "--out", Path.Combine(Path.GetTempPath(), $"relay-chaos-tests-{Environment.ProcessId}")], deadline: Deadline);
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.EndsWith("violations: 0\n", result.Text, StringComparison.Ordinal);
    }
}
