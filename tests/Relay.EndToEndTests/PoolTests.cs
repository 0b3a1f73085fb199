using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>One socket, several ways: connectors and hosts that die are gone around, and the session says which way it went.</summary>
public sealed class PoolTests(OneSilo site)
{
    private const int SigKill = 9;

    [Fact]
    public async Task When_one_of_two_connectors_is_killed_the_next_session_takes_the_other()
    {
        var first = await site.Grid.StartConnectorAsync("pair-a");
        var second = await site.Grid.StartConnectorAsync("pair-b");
        await site.Grid.RelayAsync("socket", "create", "ssh", "--name", "paired", "--connector", "pair-a", "--connector", "pair-b", "--host", "127.0.0.1",
            "--port", $"{site.Target.Port}", "--username", Environment.UserName, "--host-key", site.Target.HostKey());
        await site.AllowAsync("paired", OneSilo.EverythingForTheAdministrator);
        await using var live = await LiveSession.StartAsync(site.Grid, "paired.relay");
        var through = (await site.LastSessionAsync("paired")).GetProperty("connector_name").GetString();
        var (used, left) = through == "pair-a" ? (first, "pair-b") : (second, "pair-a");
        used.Signal(SigKill);
        await used.WaitForExitAsync();
        var result = await site.Grid.SshAsync("paired.relay", "echo through the other");
        Assert.True(result.ExitCode == 0, $"{result}\n{site.Grid.Logs()}");
        Assert.Equal(left, (await site.EndedSessionAsync("paired")).GetProperty("connector_name").GetString());
        var shown = await site.Grid.RelayJsonAsync("socket", "show", "paired");
        Assert.True(shown.GetProperty("alive").GetBoolean());
    }

    [Fact]
    public async Task When_a_host_of_the_pool_stops_sessions_go_to_the_other_and_the_socket_says_which_one_fails()
    {
        var ca = await site.Grid.RelayAsync("org", "ssh-ca");
        await using var stays = await TargetSshd.StartAsync(ca);
        var stops = await TargetSshd.StartAsync(ca);
        var stopped = $"127.0.0.1:{stops.Port}";
        await site.Grid.RelayAsync("socket", "create", "ssh", "--name", "pool", "--connector", "site", "--host", $"127.0.0.1:{stays.Port}", "--host", stopped,
            "--username", Environment.UserName, "--host-key", stays.HostKey(), "--host-key", stops.HostKey());
        await site.AllowAsync("pool", OneSilo.EverythingForTheAdministrator);

        // Two that stay: one on each.
        await using (var one = await LiveSession.StartAsync(site.Grid, "pool.relay"))
        await using (var two = await LiveSession.StartAsync(site.Grid, "pool.relay"))
        {
            var targets = (await site.Grid.RelayJsonAsync("session", "ls", "--socket", "pool")).GetProperty("list").EnumerateArray().Select(s => s.GetProperty("target").GetString()).ToArray();
            Assert.Equal(new[] { $"127.0.0.1:{stays.Port}", stopped }.Order(StringComparer.Ordinal), targets.Order(StringComparer.Ordinal));
        }

        await stops.DisposeAsync();
        for (var i = 0; i < 3; i++)
        {
            var result = await site.Grid.SshAsync("pool.relay", "echo still there");
            Assert.True(result.ExitCode == 0, $"{result}\n{site.Grid.Logs()}");
            var session = await site.EndedSessionAsync("pool");
            Assert.Equal($"127.0.0.1:{stays.Port}", session.GetProperty("target").GetString());
        }

        // No session need have tried it: then the next check finds it.
        var shown = "";
        await Eventually.TrueAsync(
            async () => (shown = await site.Grid.RelayAsync("socket", "show", "pool")).Contains($"{stopped} (not reached: {stopped} refused the connection", StringComparison.Ordinal),
            "the socket says which host fails");
        Assert.Contains("online", shown, StringComparison.Ordinal);
    }
}
