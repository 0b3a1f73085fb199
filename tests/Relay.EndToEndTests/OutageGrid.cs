using System.Text.Json;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Three silos, the gateway on the first, the connector "site" on the second, "db-host" behind it with everything recorded.</summary>
internal sealed record OutageGrid(RelayGrid Grid, SshdServer Target, RunningProcess Agent, string Token) : IAsyncDisposable
{
    public static async Task<OutageGrid> StartAsync(string database)
    {
        var grid = await RelayGrid.StartAsync(silos: 3, regions: true, database: database);
        var target = await TargetSshd.StartAsync(await grid.RelayAsync("org", "ssh-ca"));
        await grid.RelayAsync("policy", "delete", "default-org-policy");
        await grid.RelayAsync("connector", "create", "--name", "site");
        var token = await grid.CreateTokenAsync("site");
        var agent = await grid.StartAgentAsync("site", token, silo: 1);
        await grid.RelayAsync(
            "socket", "create", "ssh", "--name", "db-host", "--connector", "site", "--host", "127.0.0.1", "--port", $"{target.Port}",
            "--username", Environment.UserName, "--host-key", target.HostKey());
        var policy = Path.Combine(grid.Folder, "policy.json");
        await File.WriteAllTextAsync(policy, OneSilo.EverythingForTheAdministrator);
        await grid.RelayAsync("policy", "create", "--name", "allow", "--file", policy, "--socket", "db-host");
        await grid.SshConfigAsync();
        return new OutageGrid(grid, target, agent, token);
    }

    /// <summary>Plain ssh to the gateway: who has a certificate needs nobody but the gateway.</summary>
    public async Task<CommandResult> SshAsync(string command, string socket = "db-host")
    {
        var ssh = Path.Combine(Grid.Home, "ssh");
        var address = Grid.SshAddress.Split(':');
        return await Command.RunAsync("ssh",
            ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", $"UserKnownHostsFile={ssh}/known_hosts", "-o", "HostKeyAlias=relay-gateway",
                "-i", $"{ssh}/id_ed25519", "-p", address[1], $"{socket}@{address[0]}", command]);
    }

    /// <summary>All that was spooled is in the store.</summary>
    public Task DeliveredAsync() => Eventually.TrueAsync(async () =>
    {
        foreach (var silo in Grid.Silos)
        {
            var health = await ReadHealthAsync(silo);
            if (!health.GetProperty("store").GetProperty("reachable").GetBoolean()
                || health.GetProperty("spool").GetProperty("records").GetInt64() + health.GetProperty("spool").GetProperty("parked").GetInt64() > 0)
                return false;
        }

        return true;
    }, "every silo has delivered");

    public async Task<string> HealthAsync(RelayGrid.Silo silo) => (await ReadHealthAsync(silo)).GetProperty("status").GetString()!;

    /// <summary>All there were: there may be more than the list shows unasked.</summary>
    public async Task<JsonElement[]> SessionsAsync() => [.. (await Grid.RelayJsonAsync("session", "ls", "--limit", "500")).GetProperty("list").EnumerateArray()];

    /// <summary>What was recorded of each of them, as <c>relay session replay --raw</c> prints it.</summary>
    public async Task<IReadOnlyList<string>> ReplaysAsync(IEnumerable<JsonElement> sessions)
    {
        var replays = new List<string>();
        foreach (var session in sessions.Where(s => s.GetProperty("recording_state").GetString() != "disabled" && s.GetProperty("authorization").GetString() == "allowed"))
            replays.Add(await Grid.RelayAsync("session", "replay", session.GetProperty("session_id").GetString()!, "--raw"));
        return replays;
    }

    /// <summary>Asserts that exactly one of the recordings has that text, and gives it.</summary>
    public static string OneWith(IReadOnlyList<string> replays, string text) => Assert.Single(replays, r => r.Contains(text, StringComparison.Ordinal));

    public async ValueTask DisposeAsync()
    {
        await Target.DisposeAsync();
        await Grid.DisposeAsync();
    }

    private static async Task<JsonElement> ReadHealthAsync(RelayGrid.Silo silo)
    {
        using var client = new HttpClient();
        using var document = JsonDocument.Parse(await client.GetStringAsync($"{silo.Api}/health"));
        return document.RootElement.Clone();
    }
}
