using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>
/// A stock sshd set up as the documentation says: it trusts the organization's SSH CA and the principal
/// relay_ssh_signed, and nothing else unless a test adds it.
/// </summary>
public sealed class TargetSshd : IAsyncDisposable
{
    private readonly string _folder;
    private readonly ChildProcess _process;

    private TargetSshd(string folder, ChildProcess process, int port, string hostKey)
    {
        _folder = folder;
        _process = process;
        Port = port;
        HostKey = hostKey;
    }

    public int Port { get; }

    /// <summary>"ssh-ed25519 AAAA…"</summary>
    public string HostKey { get; }

    public string Log => _process.Output;

    /// <param name="sshCa">The organization's SSH CA, an OpenSSH line.</param>
    /// <param name="authorizedKeys">Further authorized_keys lines.</param>
    public static async Task<TargetSshd> StartAsync(string sshCa, params string[] authorizedKeys)
    {
        var folder = Directory.CreateTempSubdirectory("relay-sshd-").FullName;
        await RunAsync("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", $"{folder}/host_key");
        await File.WriteAllTextAsync($"{folder}/ca.pub", sshCa.Trim() + "\n");
        await File.WriteAllTextAsync($"{folder}/principals", "relay_ssh_signed\n");
        await File.WriteAllLinesAsync($"{folder}/authorized_keys", authorizedKeys.Select(k => k.Trim()));
        if (Environment.UserName == "root")
            Directory.CreateDirectory("/run/sshd");
        // sshd cannot say which port the system gave it, so one that is free now is taken; a clash ends it and is tried again.
        for (var attempt = 0; ; attempt++)
        {
            var port = FreePort();
            await File.WriteAllTextAsync($"{folder}/config", $"""
                Port {port}
                ListenAddress 127.0.0.1
                HostKey {folder}/host_key
                PidFile none
                AuthorizedKeysFile {folder}/authorized_keys
                TrustedUserCAKeys {folder}/ca.pub
                AuthorizedPrincipalsFile {folder}/principals
                PasswordAuthentication no
                KbdInteractiveAuthentication no
                PermitRootLogin prohibit-password
                StrictModes no
                UsePAM no
                MaxStartups 500
                AcceptEnv *
                PermitUserEnvironment no
                PrintMotd no
                Subsystem sftp internal-sftp
                LogLevel VERBOSE
                """);
            var process = ChildProcess.Start("target sshd", "/usr/sbin/sshd", ["-D", "-e", "-f", $"{folder}/config"]);
            try
            {
                await process.WaitForLineAsync("Server listening");
                return new TargetSshd(folder, process, port, string.Join(' ', (await File.ReadAllTextAsync($"{folder}/host_key.pub")).Trim().Split(' ').Take(2)));
            }
            catch (InvalidOperationException) when (attempt < 3 && process.Output.Contains("Address already in use", StringComparison.Ordinal))
            {
                await process.DisposeAsync();
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private static int FreePort()
    {
        var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        var port = ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
        listener.Stop();
        return port;
    }

    private static async Task RunAsync(string file, params string[] arguments)
    {
        var result = await Command.RunAsync(file, arguments);
        if (result.ExitCode != 0)
            throw new InvalidOperationException($"{file}: {result}");
    }
}
