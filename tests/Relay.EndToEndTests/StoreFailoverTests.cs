using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>The primary dies, its synchronous standby is promoted: an outage, after which nothing that was confirmed is missing.</summary>
public sealed class StoreFailoverTests
{
    [Fact]
    public async Task The_standby_takes_over_and_sessions_leases_epochs_and_what_was_decided_go_on()
    {
        await using var primary = await OwnPostgres.StartAsync("primary");
        await using var standby = await primary.StartStandbyAsync(synchronous: true);
        await using var scene = await OutageGrid.StartAsync(OwnPostgres.ConnectionStringOf(primary, standby));
        var grid = scene.Grid;
        await using var live = await Conversation.StartAsync(grid, "db-host.relay");
        await live.SayAsync("before");
        var connected = Connections(scene.Agent);

        // The last thing that is confirmed before the crash.
        await grid.RelayAsync("connector", "create", "--name", "confirmed");
        var epoch = await primary.ScalarAsync<long>("SELECT epoch FROM connector_lease");
        var membership = await primary.ScalarAsync<long>("SELECT last_value FROM membership_version");
        await primary.KillAsync();
        await Task.WhenAll(grid.Silos.Select(s => s.Process.WaitForLineAsync("store lost")));
        await live.SayAsync("without a primary");

        // A standby that answers is no store: nothing is written there, nothing is read from it.
        var during = await scene.SshAsync("echo during");
        Assert.True(during.ExitCode == 0, $"{during}\n{grid.Logs()}");
        var refused = await grid.CliAsync("connector", "create", "--name", "refused");
        Assert.True(refused.ExitCode == 1, refused.ToString());
        Assert.Contains("the database cannot be reached", refused.Stderr, StringComparison.Ordinal);

        await standby.PromoteAsync();
        await scene.DeliveredAsync();
        await live.SayAsync("after");
        var sessions = await scene.SessionsAsync();
        OutageGrid.OneWith(await scene.ReplaysAsync(sessions), "during");
        Assert.Equal(["confirmed", "site"], (await grid.RelayJsonAsync("connector", "ls")).GetProperty("list").EnumerateArray().Select(c => c.GetProperty("name").GetString()).Order());

        // The lease was not given to anybody, and is renewed in the new primary.
        Assert.Equal(connected, Connections(scene.Agent));
        Assert.Equal(epoch, await standby.ScalarAsync<long>("SELECT epoch FROM connector_lease WHERE expires_at > '1970-01-02'"));
        var renewed = await standby.ScalarAsync<DateTime>("SELECT expires_at FROM connector_lease");
        await Relay.TestKit.Eventually.TrueAsync(async () => await standby.ScalarAsync<DateTime>("SELECT expires_at FROM connector_lease") > renewed, "the lease is renewed");
        Assert.True(await standby.ScalarAsync<long>("SELECT last_value FROM membership_version") >= membership);
        Assert.Equal(3, await standby.ScalarAsync<long>("SELECT count(*) FROM silo_member WHERE status = 'active'"));

        // Another instance is refused, the same one, attached anew, gets a higher epoch; what is written counts on every silo.
        var other = grid.StartAgent("site (another)", scene.Token, [0, 1, 2]);
        Assert.NotEqual(0, await other.WaitForExitAsync());
        Assert.Contains("already connected", other.Output, StringComparison.Ordinal);
        await scene.Agent.DisposeAsync();
        await grid.StartAgentAsync("site (again)", scene.Token, silo: 2);
        Assert.True(await standby.ScalarAsync<long>("SELECT epoch FROM connector_lease") > epoch);
        Assert.Equal(0, (await grid.CliOnAsync(grid.Silos[2], "policy", "delete", "allow")).ExitCode);
        Assert.Equal(255, (await scene.SshAsync("true")).ExitCode);
    }

    private static int Connections(RunningProcess agent) => agent.Output.Split('\n').Count(l => l.Contains("\"msg\":\"connected to relay", StringComparison.Ordinal));
}
