using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Whoever waits for a drain that takes too long signals once more.</summary>
public sealed class SecondSignalTests
{
    private const int SigTerm = 15;

    [Fact]
    public async Task A_second_SIGTERM_ends_the_drain_and_the_users_are_told()
    {
        await using var grid = await RelayGrid.StartAsync(silos: 2, gatewaySilo: 0, drainSeconds: 3600, regions: true);
        await grid.RelayAsync("connector", "create", "--name", "c");
        var agent = grid.StartAgent("c", await grid.CreateTokenAsync("c"), [1]);
        await agent.WaitForMessageAsync("connected to relay");
        await grid.RelayAsync("socket", "create", "ssh", "--name", "s", "--connector", "c", "--upstream-type", "connector_built_in_ssh_service", "--username", Environment.UserName);

        // The gateway asks the silo of its own region, which waits for this session.
        await using var first = await LiveSession.StartAsync(grid, "s.relay", grid.Silos[1]);
        var silo = grid.Silos[0].Process;
        silo.Signal(SigTerm);
        await silo.WaitForMessageAsync("silo draining");
        Assert.False(first.Process.HasExited, grid.Logs());
        silo.Signal(SigTerm);
        Assert.Equal(0, await silo.WaitForExitAsync());
        Assert.Equal(255, await first.Process.WaitForExitAsync());
        Assert.Contains("shutting down", first.Process.Output, StringComparison.Ordinal);

        await using var second = await LiveSession.StartAsync(grid, "s.relay", grid.Silos[1]);
        var gateway = grid.Gateway.Process;
        gateway.Signal(SigTerm);
        await gateway.WaitForMessageAsync("draining");
        Assert.False(second.Process.HasExited, grid.Logs());
        gateway.Signal(SigTerm);
        Assert.Equal(0, await gateway.WaitForExitAsync());
        Assert.Equal(255, await second.Process.WaitForExitAsync());
        Assert.Contains("shutting down", second.Process.Output, StringComparison.Ordinal);
        using var sessions = System.Text.Json.JsonDocument.Parse((await grid.CliOnAsync(grid.Silos[1], "session", "ls", "--output", "json")).Text);
        Assert.Equal(
            new[] { "ended: silo silo-0 shut down", "gateway shut down" },
            sessions.RootElement.GetProperty("list").EnumerateArray().Select(s => s.GetProperty("outcome").GetString()).Order(StringComparer.Ordinal));
    }
}
