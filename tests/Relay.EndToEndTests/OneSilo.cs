using System.Text.Json;
using Relay.EndToEndTests;
using Relay.TestKit;
using Relay.TestKit.Processes;

// Two cores carry one grid well; what a test waits for must not wait for its neighbours.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: AssemblyFixture(typeof(OneSilo))]

namespace Relay.EndToEndTests;

/// <summary>
/// One silo, one gateway, a connector "site" and a real sshd behind it, published as "db-host" with everything allowed
/// to the administrator. Made once; tests that change policies or end sessions use sockets of their own.
/// </summary>
public sealed class OneSilo : IAsyncLifetime
{
    public const string EverythingForTheAdministrator = """
        {"version":"v2",
         "permissions":{"ssh":{"shell":{},"exec":{},"sftp":{},"tcp_forwarding":{},"agent_forwarding":{}}},
         "condition":{"who":{"email":["admin@relay.local"]}}}
        """;

    public RelayGrid Grid { get; private set; } = null!;

    public SshdServer Target { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Grid = await RelayGrid.StartAsync();
        Target = await TargetSshd.StartAsync(await Grid.RelayAsync("org", "ssh-ca"));
        // Sockets of the tests decide for themselves; the policy a new organization comes with would admit everywhere.
        await Grid.RelayAsync("policy", "delete", "default-org-policy");
        await Grid.StartConnectorAsync("site");
        await CreateSocketAsync("db-host");
        await AllowAsync("db-host", EverythingForTheAdministrator);
    }

    /// <summary>Publishes the target's sshd under another name.</summary>
    public Task CreateSocketAsync(string name, params string[] more) => Grid.RelayAsync(
        ["socket", "create", "ssh", "--name", name, "--connector", "site", "--host", "127.0.0.1", "--port", $"{Target.Port}",
            "--username", Environment.UserName, "--host-key", Target.HostKey(), .. more]);

    /// <summary>Creates a policy named after the socket and attaches it.</summary>
    public async Task AllowAsync(string socket, string document)
    {
        var file = Path.Combine(Grid.Folder, $"{socket}.json");
        await File.WriteAllTextAsync(file, document);
        await Grid.RelayAsync("policy", "create", "--name", $"allow-{socket}", "--file", file, "--socket", socket);
    }

    /// <summary>Plain ssh straight to the gateway, no CLI in the way: <c>ssh -i KEY login@gateway command</c>.</summary>
    /// <param name="login">"[user@]socket"</param>
    /// <param name="key">Key file; null: the one `relay client ssh-config` made, with its certificate.</param>
    public async Task<CommandResult> DirectAsync(string login, string command, string? key = null)
    {
        await Grid.SshConfigAsync();
        var ssh = Path.Combine(Grid.Home, "ssh");
        var address = Grid.SshAddress.Split(':');
        return await Command.RunAsync("ssh",
            ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", $"UserKnownHostsFile={ssh}/known_hosts", "-o", "HostKeyAlias=relay-gateway",
                "-i", key ?? $"{ssh}/id_ed25519", "-p", address[1], $"{login}@{address[0]}", command]);
    }

    /// <summary>The newest session to a socket.</summary>
    public async Task<JsonElement> LastSessionAsync(string socket) =>
        (await Grid.RelayJsonAsync("session", "ls", "--socket", socket, "--limit", "1")).GetProperty("list")[0];

    /// <summary>The newest session to a socket once it has ended: its row is closed just after ssh has gone.</summary>
    public Task<JsonElement> EndedSessionAsync(string socket) =>
        SessionAsync(socket, s => s.GetProperty("end_time").ValueKind != JsonValueKind.Null);

    /// <summary>As above, once its recording is complete. A sweep would take longer than this waits.</summary>
    public Task<JsonElement> RecordedSessionAsync(string socket) =>
        SessionAsync(socket, s => s.GetProperty("end_time").ValueKind != JsonValueKind.Null && s.GetProperty("recording_state").GetString() == "ready");

    private async Task<JsonElement> SessionAsync(string socket, Func<JsonElement, bool> isThere)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(28));
        while (true)
        {
            var session = await LastSessionAsync(socket);
            if (isThere(session))
                return await Grid.RelayJsonAsync("session", "show", session.GetProperty("session_id").GetString()!);
            Assert.False(limit.IsCancellationRequested, session.ToString());
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Target is not null)
            await Target.DisposeAsync();
        if (Grid is not null)
            await Grid.DisposeAsync();
        // Assembly fixtures end when all tests have: nobody else wants the server any more.
        PostgresServer.Stop();
    }
}
