using System.Text.Json;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Real ssh, silos, gateway and connector while PostgreSQL is away, and what is in it afterwards.</summary>
public sealed class StoreOutageTests
{
    private const int SigKill = 9;
    private const string Sentence = "the database cannot be reached";

    [Theory]
    [InlineData("stopped")]
    [InlineData("frozen")]
    public async Task Ssh_goes_on_and_begins_changes_are_refused_and_all_that_happened_is_there_once_afterwards(string how)
    {
        await using var postgres = await OwnPostgres.StartAsync();
        await using var scene = await OutageGrid.StartAsync(postgres.ConnectionString);
        var grid = scene.Grid;
        await using var live = await Conversation.StartAsync(grid, "db-host.relay");
        await live.SayAsync("before");
        var agentBefore = scene.Agent.Output.Length;

        if (how == "stopped")
            await postgres.StopAsync();
        else
            postgres.Freeze();
        await Task.WhenAll(grid.Silos.Select(s => s.Process.WaitForLineAsync("store lost")));

        // What lives goes on; what begins is judged, recorded, ends.
        await live.SayAsync("during");
        for (var i = 0; i < 5; i++)
        {
            var during = await scene.SshAsync($"echo in-the-outage-{i}; exit {i + 3}");
            Assert.True(during.ExitCode == i + 3, $"{during}\n{grid.Logs()}");
            Assert.Equal($"in-the-outage-{i}\n", during.Text);
        }

        var denied = await scene.SshAsync("true", socket: "no-such-host");
        Assert.Equal(255, denied.ExitCode);

        // Nothing can be changed, and whoever tries is told so by each silo; a session that cannot be ended is not said to be.
        foreach (var silo in grid.Silos)
        {
            foreach (var command in new[] { "connector create --name another", "session kill --socket db-host", "policy delete allow", "session ls" })
            {
                var refused = await grid.CliOnAsync(silo, command.Split(' '));
                Assert.True(refused.ExitCode == 1, $"{command}: {refused}");
                Assert.Contains(Sentence, refused.Stderr, StringComparison.Ordinal);
                Assert.Contains("try again when the database is back", refused.Stderr, StringComparison.Ordinal);
            }
        }

        // Another instance of the agent is told why not, and is no second one.
        var other = grid.StartAgent("site (another)", scene.Token, [0, 1, 2]);
        await other.WaitForLineAsync("without it no connector can be connected anew");
        Assert.DoesNotContain("connected to relay", other.Output, StringComparison.Ordinal);
        await live.SayAsync("still");
        Assert.DoesNotContain("connected to relay", scene.Agent.Output[agentBefore..], StringComparison.Ordinal);

        if (how == "stopped")
            await postgres.StartServerAsync();
        else
            postgres.Thaw();
        await scene.DeliveredAsync();

        // The same tunnel, the same session; the other instance learns that there is one.
        await live.SayAsync("after");
        Assert.NotEqual(0, await other.WaitForExitAsync());
        Assert.Contains("already connected", other.Output, StringComparison.Ordinal);
        Assert.Equal(0, (await grid.CliAsync("connector", "create", "--name", "another")).ExitCode);

        var sessions = await scene.SessionsAsync();
        Assert.Equal(7, sessions.Length);
        Assert.Equal(5, sessions.Count(s => s.GetProperty("recording_state").GetString() == "ready"));
        // The live one's recording has no end yet; what there is of it can be seen.
        var replays = await scene.ReplaysAsync(sessions);
        for (var i = 0; i < 5; i++)
            OutageGrid.OneWith(replays, $"in-the-outage-{i}");
        await live.EndAsync();
        await Eventually.TrueAsync(async () => (await scene.SessionsAsync()).Count(s => s.GetProperty("recording_state").GetString() == "ready") == 6, "the live one's recording is whole");
        var spoken = OutageGrid.OneWith(await scene.ReplaysAsync(await scene.SessionsAsync()), "said during");
        foreach (var word in new[] { "before", "still", "after" })
            Assert.Contains($"said {word}", spoken, StringComparison.Ordinal);
        Assert.Equal(7, await postgres.ScalarAsync<long>("SELECT count(*) FROM audit_event WHERE action_type IN ('session.open', 'session.denied')"));
        Assert.Equal(0, await postgres.ScalarAsync<long>("SELECT count(*) FROM (SELECT fact_id FROM session_event WHERE fact_id IS NOT NULL GROUP BY fact_id HAVING count(*) > 1) d"));
    }

    [Fact]
    public async Task A_silo_and_the_gateway_that_are_killed_in_it_come_back_in_it_and_lose_nothing_that_was_taken()
    {
        await using var postgres = await OwnPostgres.StartAsync();
        await using var scene = await OutageGrid.StartAsync(postgres.ConnectionString);
        var grid = scene.Grid;
        await using var live = await Conversation.StartAsync(grid, "db-host.relay");
        await live.SayAsync("before");
        await postgres.StopAsync();
        await Task.WhenAll(grid.Silos.Select(s => s.Process.WaitForLineAsync("store lost")));
        await live.SayAsync("during");
        var first = await scene.SshAsync("echo first");
        Assert.True(first.ExitCode == 0, $"{first}\n{grid.Logs()}");
        // Taken is what the gateway has handed over: all of the session that is over, and what has been said in the one that goes on.
        await grid.Gateway.Process.WaitForMessageAsync("session ended");
        await RecordedAsync(grid, live);

        // The gateway's silo, which has all of that in its spool, dies, and is started again: from its disk, read-only.
        var carrier = grid.Silos[0];
        carrier.Process.Signal(SigKill);
        await carrier.Process.WaitForExitAsync();
        await live.Process.WaitForExitAsync();
        var again = await grid.RestartSiloAsync(0);
        await again.Process.WaitForLineAsync("decides by its last snapshot");
        Assert.StartsWith("read-only: started without the store at", await scene.HealthAsync(again), StringComparison.Ordinal);
        var refused = await grid.CliOnAsync(again, "connector", "create", "--name", "another");
        Assert.True(refused.ExitCode == 1, refused.ToString());
        Assert.Contains(Sentence, refused.Stderr, StringComparison.Ordinal);

        // The gateway goes back to it, nearest as it is, and sessions go through it to the silo that has the connector.
        await again.Process.WaitForLineAsync("listens for orders");
        await Eventually.TrueAsync(async () =>
        {
            var second = await scene.SshAsync("echo second");
            Assert.True(second.ExitCode == 0, $"{second}\n{grid.Logs()}");
            return again.Process.Output.Contains("stream of session", StringComparison.Ordinal);
        }, "a session goes through the silo that was started again");

        // And the gateway dies in the middle of a session.
        await using var cut = await Conversation.StartAsync(grid, "db-host.relay");
        await cut.SayAsync("last words");
        await RecordedAsync(grid, cut);
        grid.Gateway.Process.Signal(SigKill);
        await cut.Process.WaitForExitAsync();
        await grid.RestartGatewayAsync();
        var third = await scene.SshAsync("echo third");
        Assert.True(third.ExitCode == 0, $"{third}\n{grid.Logs()}");

        await postgres.StartServerAsync();
        await scene.DeliveredAsync();
        await again.Process.WaitForLineAsync("which was started without it, joins");
        await Eventually.TrueAsync(async () => await scene.HealthAsync(again) == "ok", "the silo is one of the grid again");
        await Eventually.TrueAsync(async () => (await scene.SessionsAsync()).All(s => s.GetProperty("end_time").ValueKind != JsonValueKind.Null), "every session has ended");
        var sessions = await scene.SessionsAsync();
        var replays = await scene.ReplaysAsync(sessions);
        OutageGrid.OneWith(replays, "first");
        Assert.Contains("said before", OutageGrid.OneWith(replays, "said during"), StringComparison.Ordinal);
        Assert.Contains(replays, r => r.Contains("second", StringComparison.Ordinal));
        OutageGrid.OneWith(replays, "third");
        OutageGrid.OneWith(replays, "said last words");
        Assert.Equal(sessions.Length, await postgres.ScalarAsync<long>("SELECT count(*) FROM audit_event WHERE action_type = 'session.open'"));
        Assert.Equal(3, await postgres.ScalarAsync<long>("SELECT count(*) FROM silo_member WHERE status = 'active'"));
        var later = await scene.SshAsync("echo later");
        Assert.True(later.ExitCode == 0, $"{later}\n{grid.Logs()}");
    }

    // What a gateway has shipped is taken a second later at the most; the spool of some silo has grown by it.
    // What was said so far is in a spool: pieces come one after the other, once a second, and several came after it.
    private static async Task RecordedAsync(RelayGrid grid, Conversation conversation)
    {
        for (var i = 0; i < 3; i++)
        {
            var before = SpoolBytes(grid);
            await conversation.SayAsync($"more {i}");
            await Eventually.TrueAsync(() => SpoolBytes(grid) > before, $"'said more {i}' is in a spool");
        }
    }

    private static long SpoolBytes(RelayGrid grid) =>
        Directory.EnumerateFiles(Path.Combine(grid.Folder, "state", "spool"), "*.seg", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);
}
