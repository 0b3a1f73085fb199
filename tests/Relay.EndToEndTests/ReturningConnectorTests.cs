using System.Text.Json;
using Npgsql;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>A connector whose near silo was killed goes back to it when it is there again, and what is open by then goes on.</summary>
public sealed class ReturningConnectorTests(ITestOutputHelper output)
{
    private const int SigKill = 9;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    [Fact]
    public async Task It_moves_back_before_it_leaves_and_no_open_session_notices()
    {
        await using var grid = await RelayGrid.StartAsync(silos: 2, gatewaySilo: 1, regions: true);
        await using var target = await TargetSshd.StartAsync(await grid.RelayAsync("org", "ssh-ca"));
        var agent = await grid.StartRoamingConnectorAsync("site", "r0");
        await grid.RelayAsync("socket", "create", "ssh", "--name", "db", "--connector", "site", "--host", "127.0.0.1", "--port", $"{target.Port}",
            "--username", Environment.UserName, "--host-key", target.HostKey());
        await using var database = NpgsqlDataSource.Create(grid.Database);
        await grid.SshConfigAsync();
        var first = await HeldAsync(database, grid.Silos[0].Grid, grid);

        grid.Silos[0].Process.Signal(SigKill);
        var away = await HeldAsync(database, grid.Silos[1].Grid, grid);
        Assert.True(away > first, $"epoch {away} after {first}");
        var moves = Moves(agent);
        // The administrator's requests go to the silo that is left.
        var live = RunningProcess.Start("ssh db", "ssh", ["-F", await grid.SshConfigAsync(), "-o", "BatchMode=yes", "db.relay", "echo started; exec cat"], grid.CliEnvironment(grid.Silos[1]));
        await using var _ = live;
        await live.WaitForLineAsync("started");
        using var list = JsonDocument.Parse((await grid.CliOnAsync(grid.Silos[1], "session", "ls", "--socket", "db", "--limit", "1", "--output", "json")).Text);
        var open = list.RootElement.GetProperty("list")[0].GetProperty("session_id").GetString();

        await grid.RestartSiloAsync(0);
        var back = await HeldAsync(database, grid.Silos[0].Grid, grid);
        Assert.True(back > away, $"epoch {back} after {away}");
        await Eventually.TrueAsync(() => Moves(agent) > moves, grid.Logs);
        for (var i = 0; i < 3; i++)
        {
            await live.WriteLineAsync($"still here {i}");
            await live.WaitForLineAsync($"still here {i}");
        }

        // What is new takes the new way, while the old one is in use.
        using var limit = new CancellationTokenSource(Patience, TimeProvider.System);
        while (true)
        {
            var result = await grid.SshAsync("db.relay", "echo new");
            Assert.True(result.ExitCode == 0, $"{result}\n{grid.Logs()}");
            var sessions = (await grid.RelayJsonAsync("session", "ls", "--socket", "db", "--limit", "500")).GetProperty("list").EnumerateArray().ToArray();
            var its = sessions.Single(s => s.GetProperty("session_id").GetString() == open);
            Assert.Equal((grid.Silos[1].Grid, ""), (its.GetProperty("connector_silo").GetString(), its.GetProperty("outcome").GetString() ?? ""));
            if (sessions.Any(s => s.GetProperty("connector_silo").GetString() == grid.Silos[0].Grid))
                break;
            // A machine that stood still for a second may have sent the connector away once more.
            Assert.False(limit.IsCancellationRequested, $"no session through the silo it is back at\n{grid.Logs()}");
        }

        await live.WriteLineAsync("and here");
        await live.WaitForLineAsync("and here");
        Assert.False(live.HasExited, live.Output);
        output.WriteLine($"epochs {first}, {away}, {back}");
    }

    // How often it has opened a tunnel elsewhere before it left the one it had.
    private static int Moves(RunningProcess agent) => agent.Output.Split('\n').Count(l => l.Contains("open streams finish on the former connection", StringComparison.Ordinal));

    /// <summary>Waits until the connector is attached there, and gives the epoch.</summary>
    private static async Task<long> HeldAsync(NpgsqlDataSource database, string silo, RelayGrid grid)
    {
        using var limit = new CancellationTokenSource(Patience, TimeProvider.System);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(100), TimeProvider.System);
        while (true)
        {
            await using var command = database.CreateCommand("SELECT epoch FROM connector_lease WHERE silo = $1 AND expires_at > now()");
            command.Parameters.AddWithValue(silo);
            if (await command.ExecuteScalarAsync(CancellationToken.None) is long epoch)
                return epoch;
            Assert.False(limit.IsCancellationRequested, $"the connector is not attached to {silo}\n{grid.Logs()}");
            await timer.WaitForNextTickAsync(CancellationToken.None);
        }
    }
}
