using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Relay.TestKit.Processes;

namespace Relay.TestKit;

/// <summary>
/// A private OpenSSH sshd on a free loopback port with its own host keys and configuration, ready when its log says so.
/// It runs as the test's user, so every login is for that user. Caller disposes.
/// </summary>
public sealed class SshdServer : IAsyncDisposable
{
    private const int Attempts = 5;
    private readonly Process _process;
    private readonly StringBuilder _log;

    private SshdServer(TempDir directory, Process process, StringBuilder log, int port)
    {
        Directory = directory;
        _process = process;
        _log = log;
        Port = port;
    }

    /// <summary>Where its keys, configuration and files of the test are.</summary>
    public TempDir Directory { get; }

    /// <summary>Port on 127.0.0.1.</summary>
    public int Port { get; }

    /// <summary>The listening process; each connection is a child of it.</summary>
    public int ProcessId => _process.Id;

    /// <summary>Account to log in as.</summary>
    public static string User => Environment.UserName;

    /// <summary>Its log so far, for assertion messages.</summary>
    public string Log
    {
        get
        {
            lock (_log)
                return _log.ToString();
        }
    }

    /// <summary>The public host key of a type: "ed25519", "ecdsa" or "rsa".</summary>
    public string HostKeyLine(string type) => System.IO.File.ReadAllText(Directory.File($"host_{type}.pub")).Trim();

    /// <summary>
    /// Starts sshd. The options are lines of sshd_config that go before the defaults, so they win; <c>{dir}</c> in them
    /// is the server's own folder. Files are written there first.
    /// </summary>
    public static async Task<SshdServer> StartAsync(
        IEnumerable<string> options,
        IReadOnlyDictionary<string, string>? files = null,
        CancellationToken cancellationToken = default)
    {
        // sshd started by root wants its privilege separation folder.
        if (Environment.UserName == "root")
            System.IO.Directory.CreateDirectory("/run/sshd");
        var directory = new TempDir("relay-sshd-");
        foreach (var (name, content) in files ?? new Dictionary<string, string>())
            directory.Write(name, content);
        foreach (var (type, bits) in new[] { ("ed25519", "256"), ("ecdsa", "256"), ("rsa", "2048") })
        {
            var made = await Command.RunAsync("ssh-keygen", ["-q", "-t", type, "-b", bits, "-N", "", "-f", directory.File($"host_{type}")], cancellationToken: cancellationToken);
            if (made.ExitCode != 0)
                throw new InvalidOperationException($"ssh-keygen: {made}");
        }

        for (var attempt = 1; ; attempt++)
        {
            var port = FreePort.Next();
            directory.Write("sshd_config", Configuration(directory, port, options));
            if (await TryStartAsync(directory, port, cancellationToken) is { } server)
                return server;
            if (attempt == Attempts)
                throw new InvalidOperationException($"sshd does not start in {directory.Path}");
        }
    }

    /// <summary>A connection to it.</summary>
    public async Task<NetworkStream> ConnectAsync(CancellationToken cancellationToken = default)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, Port), cancellationToken);
        return new(socket, ownsSocket: true);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
        Directory.Dispose();
    }

    private static string Configuration(TempDir directory, int port, IEnumerable<string> options) => string.Join('\n',
    [
        .. options.Select(line => line.Replace("{dir}", directory.Path, StringComparison.Ordinal)),
        $"Port {port}",
        "ListenAddress 127.0.0.1",
        $"HostKey {directory.File("host_ed25519")}",
        $"HostKey {directory.File("host_ecdsa")}",
        $"HostKey {directory.File("host_rsa")}",
        $"AuthorizedKeysFile {directory.File("authorized_keys")}",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "MaxStartups 500",
        "MaxSessions 200",
        "LogLevel VERBOSE",
        "Subsystem sftp internal-sftp",
        // A bash that sshd starts would read the machine's ~/.bashrc, and with it whatever that prints and waits for.
        "SetEnv SHLVL=1",
        "",
    ]);

    private static async Task<SshdServer?> TryStartAsync(TempDir directory, int port, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo("/usr/sbin/sshd") { RedirectStandardError = true };
        foreach (var argument in new[] { "-D", "-e", "-f", directory.File("sshd_config") })
            start.ArgumentList.Add(argument);
        var process = Process.Start(start) ?? throw new InvalidOperationException("sshd did not start");
        var log = new StringBuilder();
        var ready = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        process.ErrorDataReceived += (_, line) =>
        {
            lock (log)
                log.AppendLine(line.Data);
            if (line.Data is null)
                ready.TrySetResult(false);
            else if (line.Data.StartsWith("Server listening on ", StringComparison.Ordinal))
                ready.TrySetResult(true);
        };
        process.BeginErrorReadLine();
        if (await ready.Task.WaitAsync(cancellationToken))
            return new(directory, process, log, port);
        await process.WaitForExitAsync(cancellationToken);
        process.Dispose();
        return null;
    }
}
