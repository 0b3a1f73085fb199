using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>The short form of <c>make chaos</c>: a fixed seed, eight kinds of faults, all invariants. Where it cannot run it fails and says why.</summary>
public sealed class ChaosTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(8);

    // The shortest schedule of six rounds in which each of them comes once, and the store's outage alone, so that its sessions are tried.
    private const string Seed = "2";
    private const string Rounds = "6";
    private const string Only = "silo.kill,agent.kill,gateway.kill,silo.freeze-short,silo.cut-pair,store.stop,right.policy,right.kill";

    [Fact]
    public async Task Nothing_that_must_never_happen_does()
    {
        var folder = Directory.CreateTempSubdirectory("relay-chaos-tests-");
        var result = await Command.RunAsync(RelayPrograms.Chaos, ["--seed", Seed, "--rounds", Rounds, "--only", Only, "--out", folder.FullName], deadline: Deadline);
        // What the nodes printed stays when something is wrong; what is wrong comes first.
        var wrong = Math.Max(0, result.Text.IndexOf("VIOLATION", StringComparison.Ordinal));
        Assert.True(result.ExitCode == 0, $"{result.Text[wrong..]}\n{result}\nhistory and logs: {folder.FullName}");
        Assert.EndsWith("violations: 0\n", result.Text, StringComparison.Ordinal);
        folder.Delete(recursive: true);
    }
}
