using System.Security.Cryptography;
using Relay.Chaos.History;
using Relay.Chaos.Network;
using Relay.TestKit.Processes;

namespace Relay.Chaos.Load;

/// <summary>The system's own ssh and sftp, as users have them. What fails, and what comes back wrong, is noted. Safe for concurrent use.</summary>
internal sealed class OpenSsh(NodeNetwork network, RunHistory history, string folder, string keyFile)
{
    private const int Size = 256 * 1024;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    /// <summary>Sends a block through a command and compares its hash.</summary>
    public async Task ExecAsync(string gateway, string socket, CancellationToken stop)
    {
        var data = RandomNumberGenerator.GetBytes(Size);
        var result = await RunAsync(gateway, socket, ["ssh", .. Options(gateway), $"{socket}@{network.Address(gateway)}", "sha256sum"], data, stop);
        if (result is { ExitCode: 0 } && !result.Text.StartsWith(Convert.ToHexStringLower(SHA256.HashData(data)), StringComparison.Ordinal))
            Corrupted(gateway, socket, "ssh: sha256sum got other bytes than were sent");
    }

    /// <summary>Puts a file and gets it back.</summary>
    public async Task SftpAsync(string gateway, string socket, CancellationToken stop)
    {
        var name = Path.Combine(folder, $"sftp-{Guid.NewGuid():N}");
        await File.WriteAllBytesAsync(name, RandomNumberGenerator.GetBytes(Size), stop);
        try
        {
            var result = await RunAsync(gateway, socket, ["sftp", .. Options(gateway), "-b", "-", $"{socket}@{network.Address(gateway)}"], System.Text.Encoding.ASCII.GetBytes($"put {name} {name}.there\nget {name}.there {name}.back\n"), stop);
            if (result is { ExitCode: 0 } && !Enumerable.SequenceEqual(await File.ReadAllBytesAsync(name, stop), await File.ReadAllBytesAsync(name + ".back", stop)))
                Corrupted(gateway, socket, "sftp: another file came back than was put");
        }
        finally
        {
            foreach (var file in new[] { name, name + ".there", name + ".back" })
                File.Delete(file);
        }
    }

    private void Corrupted(string gateway, string socket, string reason) =>
        history.Add(new HistoryEvent(history.Now, Kinds.Corrupted) { Client = "OpenSSH", Gateway = gateway, Socket = socket, Reason = reason });

    private async Task<CommandResult?> RunAsync(string gateway, string socket, string[] command, byte[] input, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        var line = network.Enter(EchoSession.Node, command);
        try
        {
            var result = await Command.RunAsync(line[0], line[1..], stdin: input, deadline: Limit, cancellationToken: stop);
            if (result.ExitCode != 0)
                history.Add(new HistoryEvent(history.Now, Kinds.ClientFailed) { Gateway = gateway, Socket = socket, Reason = $"{command[0]}: exit code {result.ExitCode}: {result.Stderr.Trim()}" });
            return result;
        }
        catch (InvalidOperationException)
        {
            history.Add(new HistoryEvent(history.Now, Kinds.ClientFailed) { Gateway = gateway, Socket = socket, Reason = $"{command[0]}: did not end in time" });
            return null;
        }
    }

    private string[] Options(string gateway) =>
    [
        "-F", "none", "-o", $"Port={Grid.ChaosGrid.SshPort}", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10",
        "-o", "IdentitiesOnly=yes", "-o", "KexAlgorithms=curve25519-sha256", "-i", keyFile, "-o", $"HostKeyAlias={gateway}",
    ];
}
