using System.Security.Cryptography;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Three silo processes on one PostgreSQL: the gateway on one, the connector on another, the administrator on the third.</summary>
public sealed class ThreeSilosTests(ThreeSilosTests.ThreeSilos site) : IClassFixture<ThreeSilosTests.ThreeSilos>
{
    private RelayGrid Grid => site.Grid;

    [Fact]
    public async Task A_stream_crosses_the_silo_link_unchanged_and_the_session_says_so()
    {
        var data = new byte[20_000_000];
        new Random(20).NextBytes(data);
        var result = await Grid.SshAsync("far-host.relay", "sha256sum", data);
        Assert.True(result.ExitCode == 0, $"{result}\n{Grid.Logs()}");
        Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(data)), result.Text, StringComparison.Ordinal);
        var session = (await Grid.RelayJsonAsync("session", "ls", "--socket", "far-host")).GetProperty("list")[0];
        Assert.Equal(Grid.Silos[1].Grid, session.GetProperty("connector_silo").GetString());
        Assert.NotEqual(session.GetProperty("silo").GetString(), session.GetProperty("connector_silo").GetString());
    }

    [Fact]
    public async Task Half_close_and_exit_status_survive_the_extra_hop()
    {
        var result = await Grid.SshAsync("far-host.relay", "cat > /dev/null; head -c 1000000 /dev/zero; exit 5", new byte[500_000]);
        Assert.True(result.ExitCode == 5, $"exit {result.ExitCode}: {result.Stderr}\n{Grid.Logs()}");
        Assert.Equal(1_000_000, result.Stdout.Length);
    }

    [Fact]
    public async Task Kill_from_a_third_silo_ends_the_session()
    {
        await using var live = await LiveSession.StartAsync(Grid, "far-host.relay");
        var third = Grid.Silos[2];
        var killed = await Grid.CliOnAsync(third, "session", "kill", "--socket", "far-host");
        Assert.True(killed.ExitCode == 0, killed.ToString());
        Assert.Equal(255, await live.Process.WaitForExitAsync(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public async Task A_policy_written_on_one_silo_counts_on_the_others()
    {
        var third = Grid.Silos[2];
        await using var live = await LiveSession.StartAsync(Grid, "far-host.relay");
        Assert.Equal(0, (await Grid.CliOnAsync(third, "policy", "update", "default-org-policy", "--org-wide", "false")).ExitCode);
        Assert.NotEqual(0, await live.Process.WaitForExitAsync(TimeSpan.FromSeconds(10)));
        Assert.Equal(255, (await Grid.SshAsync("far-host.relay", "true")).ExitCode);
        Assert.Equal(0, (await Grid.CliOnAsync(third, "policy", "update", "default-org-policy", "--org-wide", "true")).ExitCode);
        Assert.Equal(0, (await Grid.SshAsync("far-host.relay", "true")).ExitCode);
    }

    /// <summary>The grid of this class's tests.</summary>
    public sealed class ThreeSilos : IAsyncLifetime
    {
        public RelayGrid Grid { get; private set; } = null!;

        private SshdServer? Target { get; set; }

        public async ValueTask InitializeAsync()
        {
            Grid = await RelayGrid.StartAsync(silos: 3, gatewaySilo: 0);
            Target = await TargetSshd.StartAsync(await Grid.RelayAsync("org", "ssh-ca"));
            await Grid.StartConnectorAsync("far", silo: 1);
            await Grid.RelayAsync("socket", "create", "ssh", "--name", "far-host", "--connector", "far", "--host", "127.0.0.1", "--port", $"{Target.Port}",
                "--username", Environment.UserName, "--host-key", Target.HostKey());
        }

        public async ValueTask DisposeAsync()
        {
            if (Target is not null)
                await Target.DisposeAsync();
            if (Grid is not null)
                await Grid.DisposeAsync();
        }
    }
}
