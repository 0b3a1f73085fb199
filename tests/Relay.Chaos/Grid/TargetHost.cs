using System.Net;
using System.Net.Sockets;
using Relay.Chaos.History;
using Relay.Chaos.Network;
using Relay.TestKit.Processes;

namespace Relay.Chaos.Grid;

/// <summary>What the agents reach: a stock sshd that trusts the organization's SSH CA, and a port that echoes, in a node of their own.</summary>
internal sealed class TargetHost : IAsyncDisposable
{
    public const string Node = "target";
    public const int SshPort = 22;
    public const int EchoPort = 7;
    private readonly NodeProcess _sshd;
    private readonly Socket _echo;

    private TargetHost(NodeProcess sshd, Socket echo, string hostKey)
    {
        (_sshd, _echo, HostKey) = (sshd, echo, hostKey);
        _ = AcceptAsync();
    }

    /// <summary>OpenSSH line.</summary>
    public string HostKey { get; }

    public static async Task<TargetHost> StartAsync(NodeNetwork network, RunHistory history, string folder, string sshCa)
    {
        Directory.CreateDirectory("/run/sshd");
        folder = Path.Combine(folder, "target");
        Directory.CreateDirectory(folder);
        string File(string name) => Path.Combine(folder, name);
        await Command.RunAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", File("host")]);
        await System.IO.File.WriteAllTextAsync(File("ca.pub"), sshCa.Trim() + "\n");
        await System.IO.File.WriteAllTextAsync(File("principals"), "relay_ssh_signed\n");
        await System.IO.File.WriteAllLinesAsync(File("config"),
        [
            $"Port {SshPort}", $"ListenAddress {network.Address(Node)}", $"HostKey {File("host")}", $"TrustedUserCAKeys {File("ca.pub")}", $"AuthorizedPrincipalsFile {File("principals")}",
            "AuthorizedKeysFile none", "PidFile none", "StrictModes no", "UsePAM no", "PermitRootLogin yes", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "MaxStartups 500",
            "UseDNS no", "PrintMotd no",
            // bash takes a shell of level 1 that sshd runs for one that should read ~/.bashrc, whatever that prints.
            "SetEnv SHLVL=9", "Subsystem sftp internal-sftp",
        ]);
        var sshd = NodeProcess.Start(Node, network.Enter(Node, "/usr/sbin/sshd", "-D", "-e", "-f", File("config")), new Dictionary<string, string?>(), folder, history, static _ => { });
        if (await sshd.WaitForAsync("Server listening", TimeSpan.FromSeconds(20)) is null)
            throw new InvalidOperationException($"sshd does not start:\n{sshd.Output}");
        var echo = network.Socket(Node);
        echo.Bind(new IPEndPoint(IPAddress.Parse(network.Address(Node)), EchoPort));
        echo.Listen(100);
        return new TargetHost(sshd, echo, string.Join(' ', (await System.IO.File.ReadAllTextAsync(File("host.pub"))).Split(' ').Take(2)).Trim());
    }

    public async ValueTask DisposeAsync()
    {
        _echo.Dispose();
        await _sshd.DisposeAsync();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = EchoAsync(await _echo.AcceptAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The run is over.
        }
    }

    private static async Task EchoAsync(Socket socket)
    {
        try
        {
            await using var stream = new NetworkStream(socket, ownsSocket: true);
            await stream.CopyToAsync(stream);
        }
        catch (IOException)
        {
            // Reset: as it should be when a session dies.
        }
    }
}
