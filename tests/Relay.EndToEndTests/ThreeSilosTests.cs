using System.Security.Cryptography;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Three silo processes on one PostgreSQL, a connector on each, the gateway on whichever it finds nearest, the administrator on another.</summary>
public sealed class ThreeSilosTests(ThreeSilosTests.ThreeSilos site) : IClassFixture<ThreeSilosTests.ThreeSilos>
{
    private RelayGrid Grid => site.Grid;

    [Fact]
    public async Task A_stream_crosses_the_silo_link_unchanged_and_the_session_says_so()
    {
        var data = new byte[20_000_000];
        new Random(20).NextBytes(data);
        var farther = 0;
        for (var silo = 0; silo < Grid.Silos.Count; silo++)
        {
            var result = await Grid.SshAsync($"far-{silo}.relay", "sha256sum", data);
            Assert.True(result.ExitCode == 0, $"{result}\n{Grid.Logs()}");
            Assert.StartsWith(Convert.ToHexStringLower(SHA256.HashData(data)), result.Text, StringComparison.Ordinal);
            var session = (await Grid.RelayJsonAsync("session", "ls", "--socket", $"far-{silo}")).GetProperty("list")[0];
            Assert.Equal(Grid.Silos[silo].Grid, session.GetProperty("connector_silo").GetString());
            var another = session.GetProperty("silo").GetString() != session.GetProperty("connector_silo").GetString();
            Assert.Equal(another ? 2 : 1, session.GetProperty("hops").GetInt32());
            farther += another ? 1 : 0;
        }
        // The gateway is on one of the three, so two of the connectors are a silo further, unless it moves meanwhile.
        Assert.InRange(farther, 1, 3);
    }

    [Fact]
    public async Task Half_close_and_exit_status_survive_the_extra_hop()
    {
        for (var silo = 0; silo < Grid.Silos.Count; silo++)
        {
            var result = await Grid.SshAsync($"far-{silo}.relay", "cat > /dev/null; head -c 1000000 /dev/zero; exit 5", new byte[500_000]);
            Assert.True(result.ExitCode == 5, $"exit {result.ExitCode}: {result.Stderr}\n{Grid.Logs()}");
            Assert.Equal(1_000_000, result.Stdout.Length);
        }
    }

    [Fact]
    public async Task Kill_from_any_silo_ends_the_session()
    {
        // From every silo once, so from two that do not hold the session.
        foreach (var silo in Grid.Silos)
        {
            await using var live = await LiveSession.StartAsync(Grid, "far-1.relay");
            var killed = await Grid.CliOnAsync(silo, "session", "kill", "--socket", "far-1");
            Assert.True(killed.ExitCode == 0, killed.ToString());
            Assert.Equal(255, await live.Process.WaitForExitAsync(TimeSpan.FromSeconds(60)));
        }
    }

    [Fact]
    public async Task A_policy_written_on_one_silo_counts_on_the_others()
    {
        var third = Grid.Silos[2];
        await using var live = await LiveSession.StartAsync(Grid, "far-2.relay");
        Assert.Equal(0, (await Grid.CliOnAsync(third, "policy", "update", "default-org-policy", "--org-wide", "false")).ExitCode);
        Assert.NotEqual(0, await live.Process.WaitForExitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal(255, (await Grid.SshAsync("far-2.relay", "true")).ExitCode);
        Assert.Equal(0, (await Grid.CliOnAsync(third, "policy", "update", "default-org-policy", "--org-wide", "true")).ExitCode);
        Assert.Equal(0, (await Grid.SshAsync("far-2.relay", "true")).ExitCode);
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
            for (var silo = 0; silo < Grid.Silos.Count; silo++)
            {
                await Grid.StartConnectorAsync($"far-{silo}", silo);
                await Grid.RelayAsync("socket", "create", "ssh", "--name", $"far-{silo}", "--connector", $"far-{silo}", "--host", "127.0.0.1", "--port", $"{Target.Port}",
                    "--username", Environment.UserName, "--host-key", Target.HostKey());
            }
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
