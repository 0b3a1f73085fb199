using System.Diagnostics;
using System.Globalization;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.Bench.Ssh;

/// <summary>
/// Two ways from the same stock ssh to the same stock sshd on this machine: through the grid (gateway, silo, connector)
/// and through OpenSSH's own ProxyJump (a second sshd). Every part is a process of its own. Caller disposes.
/// </summary>
internal sealed class SshPaths : IAsyncDisposable
{
    private readonly RelayGrid _grid;
    private readonly SshdServer _target;
    private readonly SshdServer _jump;
    private readonly string _key;

    private SshPaths(RelayGrid grid, SshdServer target, SshdServer jump, string key, IReadOnlyList<RunningProcess> relays)
    {
        _grid = grid;
        _target = target;
        _jump = jump;
        _key = key;
        Relays = relays;
    }

    /// <summary>Gateway, silo, connector.</summary>
    public IReadOnlyList<RunningProcess> Relays { get; }

    public SshdServer Jump => _jump;

    public string Folder => _grid.Folder;

    public static async Task<SshPaths> StartAsync()
    {
        var grid = await RelayGrid.StartAsync();
        var key = Path.Combine(grid.Folder, "bench-key");
        await Run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key);
        var publicKey = await File.ReadAllTextAsync(key + ".pub");
        var target = await TargetSshd.StartAsync(await grid.RelayAsync("org", "ssh-ca"), publicKey);
        var jump = await TargetSshd.StartAsync(await grid.RelayAsync("org", "ssh-ca"), publicKey);
        var connector = await grid.StartConnectorAsync("site");
        await grid.RelayAsync("key", "add", key + ".pub");
        await grid.RelayAsync("socket", "create", "ssh", "--name", "target", "--connector", "site", "--host", "127.0.0.1", "--port", Port(target.Port),
            "--username", Environment.UserName, "--host-key", target.HostKey());
        await File.WriteAllTextAsync(Path.Combine(grid.Folder, "known"), "");
        return new SshPaths(grid, target, jump, key, [grid.Gateway.Process, grid.Silos[0].Process, connector]);
    }

    /// <summary>ssh's arguments up to the command, through the grid. The registered key keeps the CLI out of the measurement.</summary>
    public string[] ThroughRelay(params string[] options)
    {
        var address = _grid.SshAddress.Split(':');
        return [.. Common(options), "-p", address[1], $"target@{address[0]}"];
    }

    /// <summary>The same through a jump host.</summary>
    public string[] ThroughJump(params string[] options) =>
    [
        .. Common(options),
        "-o", $"ProxyCommand=ssh {string.Join(' ', Common(options))} -p {Port(_jump.Port)} -W %h:%p {Environment.UserName}@127.0.0.1",
        "-p", Port(_target.Port), $"{Environment.UserName}@127.0.0.1",
    ];

    /// <summary>Straight to the target, for scale.</summary>
    public string[] Direct(params string[] options) => [.. Common(options), "-p", Port(_target.Port), $"{Environment.UserName}@127.0.0.1"];

    public async ValueTask DisposeAsync()
    {
        await _jump.DisposeAsync();
        await _target.DisposeAsync();
        await _grid.DisposeAsync();
    }

    private string[] Common(string[] options) =>
    [
        "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        "-o", "IdentitiesOnly=yes", "-i", _key, "-o", "KexAlgorithms=curve25519-sha256", .. options,
    ];

    private static string Port(int port) => port.ToString(CultureInfo.InvariantCulture);

    private static async Task Run(string file, params string[] arguments)
    {
        var result = await Command.RunAsync(file, arguments);
        if (result.ExitCode != 0)
            throw new InvalidOperationException($"{file}: {result}");
    }
}
