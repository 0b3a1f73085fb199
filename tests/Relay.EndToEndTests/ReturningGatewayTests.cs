using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>A gateway whose near silo was killed sends new sessions there again when it is back, and leaves those it has where they are.</summary>
public sealed class ReturningGatewayTests
{
    private const int SigKill = 9;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task New_sessions_go_back_to_the_near_silo_and_no_open_one_notices()
    {
        await using var grid = await RelayGrid.StartAsync(silos: 2, gatewaySilo: 0, regions: true);
        await using var target = await TargetSshd.StartAsync(await grid.RelayAsync("org", "ssh-ca"));
        await grid.StartConnectorAsync("site", silo: 1);
        await grid.RelayAsync("socket", "create", "ssh", "--name", "db", "--connector", "site", "--host", "127.0.0.1", "--port", $"{target.Port}",
            "--username", Environment.UserName, "--host-key", target.HostKey());
        await NewSessionAtAsync(grid, grid.Silos[0]);

        grid.Silos[0].Process.Signal(SigKill);
        // The administrator's requests go to the silo that is left.
        await using var live = RunningProcess.Start("ssh db", "ssh", ["-F", await grid.SshConfigAsync(), "-o", "BatchMode=yes", "db.relay", "echo started; exec cat"], grid.CliEnvironment(grid.Silos[1]));
        await live.WaitForLineAsync("started");

        await grid.RestartSiloAsync(0);
        await NewSessionAtAsync(grid, grid.Silos[0]);
        await live.WriteLineAsync("still here");
        await live.WaitForLineAsync("still here");
        // The rows of those that are over say so a moment after ssh has gone.
        (string Silo, string Outcome)[] open = [];
        await Eventually.TrueAsync(async () => (open = [.. (await SessionsAsync(grid)).Where(s => s.Outcome.Length == 0)]).Length == 1, "one session is open");
        Assert.Equal(grid.Silos[1].Grid, open[0].Silo);
        Assert.False(live.HasExited, live.Output);
    }

    /// <summary>Begins sessions until one is decided by that silo.</summary>
    private static async Task NewSessionAtAsync(RelayGrid grid, RelayGrid.Silo silo)
    {
        var before = (await SessionsAsync(grid)).Count(s => s.Silo == silo.Grid);
        using var limit = new CancellationTokenSource(Patience, TimeProvider.System);
        do
        {
            Assert.False(limit.IsCancellationRequested, $"no session through {silo.Grid}\n{grid.Logs()}");
            var result = await grid.SshAsync("db.relay", "echo new");
            Assert.True(result.ExitCode == 0, $"{result}\n{grid.Logs()}");
        }
        while ((await SessionsAsync(grid)).Count(s => s.Silo == silo.Grid) == before);
    }

    private static async Task<(string Silo, string Outcome)[]> SessionsAsync(RelayGrid grid) =>
        [.. (await grid.RelayJsonAsync("session", "ls", "--socket", "db", "--limit", "500")).GetProperty("list").EnumerateArray().Select(s => (s.GetProperty("silo").GetString()!, s.GetProperty("outcome").GetString() ?? ""))];
}
