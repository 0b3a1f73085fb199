using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Connector;
using Relay.Connector.BuiltInSsh;
using Relay.Protocol.Ssh;
using Relay.TestKit.Processes;

namespace Relay.Tests.Connector.BuiltInSsh;

/// <summary>The built-in SSH service under the stock OpenSSH client.</summary>
public sealed class BuiltInSshTests : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("relay-built-in-").FullName;
    private readonly SshPrivateKey _authority = SshPrivateKey.Generate(SshKeyKind.EcdsaP256);
    private readonly SshPrivateKey _key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
    private readonly BuiltInSshService _service = new(NullLogger.Instance, TimeProvider.System);
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _serving;

    public BuiltInSshTests()
    {
        _listener.Start();
        _serving = AcceptAsync();
        Write("key", _key.ExportOpenSsh("test"));
        Write("known_hosts", $"built-in {_service.HostKeyLine}\n");
        WriteCertificate(BuiltInSshService.Principal, TimeSpan.FromMinutes(5));
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Exec_runs_as_the_user_with_status_and_outputs_apart()
    {
        var result = await SshAsync("id -un; echo problem >&2; exit 42");
        Assert.True(result.ExitCode == 42, result.ToString());
        Assert.Equal(Environment.UserName, result.Text.Trim());
        Assert.Contains("problem", result.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stdin_ends_when_the_users_does_and_large_data_comes_back_whole()
    {
        var data = new byte[5_000_000];
        new Random(5).NextBytes(data);
        var result = await SshAsync("cat", data);
        Assert.True(result.ExitCode == 0, result.Stderr);
        Assert.Equal(data, result.Stdout);
    }

    [Fact]
    public async Task A_program_that_closes_its_input_is_not_waited_for()
    {
        var result = await SshAsync("exec <&-; echo still here", new byte[3_000_000]);
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Equal("still here\n", result.Text);
    }

    [Fact]
    public async Task Pty_is_a_controlling_terminal_of_the_asked_size()
    {
        var result = await SshAsync("tty; echo $TERM; ps -o stat= -p $$; stty size < /dev/tty", null, "-tt");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("/dev/pts/", result.Text, StringComparison.Ordinal);
        Assert.Contains("s", result.Text.Split('\n')[2], StringComparison.Ordinal); // session leader
    }

    [Fact]
    public async Task Shell_is_a_login_shell_at_home()
    {
        var result = await SshAsync("", "pwd; echo home=$HOME; exit 3\n"u8.ToArray(), "-T");
        Assert.True(result.ExitCode == 3, result.ToString());
        Assert.Contains($"home={LocalUser.Current.Home}", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_signal_ends_the_program_and_is_reported()
    {
        var result = await SshAsync("kill -KILL $$");
        Assert.Equal(255, result.ExitCode);
    }

    [Fact]
    public async Task Environment_takes_the_list_only()
    {
        var result = await SshAsync("env", null, "-o", "SetEnv=LC_TEST=yes LD_PRELOAD=/nowhere.so BASH_ENV=/tmp/x");
        Assert.Contains("LC_TEST=yes", result.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("LD_PRELOAD", result.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("BASH_ENV", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Forwarding_dials_from_the_connectors_host()
    {
        var echo = new TcpListener(IPAddress.Loopback, 0);
        echo.Start();
        var serving = EchoOnceAsync(echo);
        var result = await SshAsync("", "through\n"u8.ToArray(), "-W", $"127.0.0.1:{((IPEndPoint)echo.LocalEndpoint).Port}");
        Assert.True(result.Text == "through\n", result.ToString());
        await serving;
        echo.Stop();
    }

    [Fact]
    public async Task Agent_forwarding_reaches_the_users_agent()
    {
        Assert.Equal(0, (await Command.RunAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "in-the-agent", "-f", $"{_folder}/agent-key"], cancellationToken: Cancelled)).ExitCode);
        var script = $"ssh-add -q {_folder}/agent-key && ssh {string.Join(' ', Options(Environment.UserName))} -A 127.0.0.1 ssh-add -l";
        var result = await Command.RunAsync("ssh-agent", ["sh", "-c", script], cancellationToken: Cancelled);
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("in-the-agent", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Sftp_copies_there_and_back()
    {
        Write("from", new string('x', 300_000));
        Write("batch", $"put {_folder}/from {_folder}/there\nget {_folder}/there {_folder}/back\n");
        var result = await Command.RunAsync("sftp", [.. Options(Environment.UserName, "-P"), "-b", $"{_folder}/batch", "127.0.0.1"], cancellationToken: Cancelled);
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Equal(await File.ReadAllTextAsync($"{_folder}/from", Cancelled), await File.ReadAllTextAsync($"{_folder}/back", Cancelled));
    }

    [Fact]
    public async Task A_hung_up_user_takes_the_program_along()
    {
        var mark = Guid.NewGuid().ToString("N");
        var ssh = RunningProcess.Start("ssh", "ssh", [.. Options(Environment.UserName), "-tt", "127.0.0.1", $"trap 'echo gone > {_folder}/{mark}; exit' HUP; echo ready; while :; do sleep 0.1; done"]);
        await using (ssh)
        {
            await ssh.WaitForLineAsync("ready");
            using var watcher = new FileSystemWatcher(_folder, mark) { EnableRaisingEvents = true };
            var gone = new TaskCompletionSource();
            watcher.Created += (_, _) => gone.TrySetResult();
            ssh.Signal(9);
            await gone.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancelled);
        }
    }

    [Fact]
    public async Task Idle_sessions_hold_no_thread_each()
    {
        var sessions = Enumerable.Range(0, 20).Select(_ => RunningProcess.Start("ssh", "ssh", [.. Options(Environment.UserName), "-tt", "127.0.0.1", "echo ready; cat"])).ToArray();
        try
        {
            foreach (var session in sessions)
                await session.WaitForLineAsync("ready");
            using var self = System.Diagnostics.Process.GetCurrentProcess();
            Assert.Equal(1, self.Threads.Cast<System.Diagnostics.ProcessThread>().Count(t => NameOf(t.Id).StartsWith("Descriptor", StringComparison.Ordinal)));
        }
        finally
        {
            foreach (var session in sessions)
                await session.DisposeAsync();
        }
    }

    [Theory]
    [InlineData("0")]                  // L20: a number is not a uid
    [InlineData("no-such-user-here")]
    [InlineData("root@elsewhere")]
    public async Task Unknown_users_are_refused_by_name(string user)
    {
        var result = await Command.RunAsync("ssh", [.. Options(user), "127.0.0.1", "true"], cancellationToken: Cancelled);
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("no user", result.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_current_certificates_of_the_authority_with_the_principal_get_in()
    {
        WriteCertificate("somebody_else", TimeSpan.FromMinutes(5));
        Assert.Equal(255, (await SshAsync("true")).ExitCode);
        WriteCertificate(BuiltInSshService.Principal, TimeSpan.FromMinutes(-5));
        Assert.Equal(255, (await SshAsync("true")).ExitCode);
        using var other = SshPrivateKey.Generate(SshKeyKind.EcdsaP256);
        WriteCertificate(BuiltInSshService.Principal, TimeSpan.FromMinutes(5), other);
        Assert.Equal(255, (await SshAsync("true")).ExitCode);
        File.Delete($"{_folder}/key-cert.pub");
        Assert.Equal(255, (await SshAsync("true")).ExitCode);
        WriteCertificate(BuiltInSshService.Principal, TimeSpan.FromMinutes(5));
        Assert.Equal(0, (await SshAsync("true")).ExitCode);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _serving;
        _service.Dispose();
        _authority.Dispose();
        _key.Dispose();
        _stop.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private static string NameOf(int thread)
    {
        try
        {
            return File.ReadAllText($"/proc/self/task/{thread}/comm");
        }
        catch (IOException)
        {
            // It has ended meanwhile.
            return "";
        }
    }

    private Task<CommandResult> SshAsync(string command, byte[]? stdin = null, params string[] options) =>
        Command.RunAsync("ssh", [.. Options(Environment.UserName), .. options, "127.0.0.1", .. command.Length == 0 ? Array.Empty<string>() : [command]], stdin: stdin);

    private string[] Options(string user, string port = "-p") =>
    [
        "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "HostKeyAlias=built-in", "-o", $"UserKnownHostsFile={_folder}/known_hosts",
        "-i", $"{_folder}/key", "-o", $"User={user}", port, $"{((IPEndPoint)_listener.LocalEndpoint).Port}",
    ];

    private void WriteCertificate(string principal, TimeSpan lifetime, SshPrivateKey? signer = null)
    {
        var now = TimeProvider.System.GetUtcNow();
        var builder = new SshCertificateBuilder
        {
            Key = _key.PublicKey,
            Kind = SshCertificateKind.User,
            KeyId = "test@example.org",
            ValidAfter = now - TimeSpan.FromHours(1),
            ValidBefore = now + lifetime,
        };
        builder.Principals.Add(principal);
        Write("key-cert.pub", builder.Sign(signer ?? _authority).ToLine("test") + "\n");
    }

    private void Write(string name, string text)
    {
        File.WriteAllText($"{_folder}/{name}", text);
        File.SetUnixFileMode($"{_folder}/{name}", UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = ServeAsync(await _listener.AcceptTcpClientAsync(_stop.Token));
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        using (client)
        await using (var stream = client.GetStream())
            await _service.ServeAsync(stream, new BuiltInSshContext(_authority.PublicKey.ToLine(), Guid.NewGuid()), _stop.Token);
    }

    private static async Task EchoOnceAsync(TcpListener listener)
    {
        using var client = await listener.AcceptTcpClientAsync(Cancelled);
        await using var stream = client.GetStream();
        await stream.CopyToAsync(stream, Cancelled);
    }
}
