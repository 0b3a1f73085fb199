using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Tests.Protocol.Ssh.Peers;

/// <summary>The stock <c>ssh</c> against our server.</summary>
public sealed class OpenSshClientTests : IDisposable
{
    private readonly TempDir _directory = new();
    private readonly string _identity;

    public OpenSshClientTests() => _identity = _directory.Write("id", TestKeys.User.ExportOpenSsh("user"));

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, string> Matrix()
    {
        var data = new TheoryData<string, string, string>();
        foreach (var cipher in SshAlgorithmNames.Ciphers)
        {
            foreach (var kex in SshAlgorithmNames.KeyExchanges)
            {
                foreach (var hostKey in SshAlgorithmNames.Signatures)
                    data.Add(cipher, kex, hostKey);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Matrix))]
    public async Task Stock_ssh_runs_a_command_with_every_algorithm(string cipher, string kex, string hostKey)
    {
        await using var server = new ExecServer(Options, new TestAuthenticator());
        var result = await SshAsync(server, ["-o", $"Ciphers={cipher}", "-o", $"KexAlgorithms={kex}", "-o", $"HostKeyAlgorithms={hostKey}"], "echo out; echo err >&2; exit 7");
        Assert.True(result.ExitCode == 7, result.ToString());
        Assert.Equal("out\n", result.Text);
        Assert.Equal("err\n", result.Stderr);
        Assert.True(server.Connections.TryPeek(out var connection));
        Assert.Equal(cipher, connection.Algorithms.CipherToServer);
        Assert.Equal(kex, connection.Algorithms.KeyExchange);
        Assert.Equal(hostKey, connection.Algorithms.HostKey);
    }

    /// <summary>Certificates as ssh-keygen signs them; what is proven is the certified key.</summary>
    [Theory]
    [InlineData("ed25519", "ssh-ed25519-cert-v01@openssh.com")]
    [InlineData("ecdsa", "ecdsa-sha2-nistp256-cert-v01@openssh.com")]
    [InlineData("rsa", "ssh-rsa-cert-v01@openssh.com")]
    public async Task User_certificates_of_ssh_keygen_log_in(string type, string certificateType)
    {
        var authority = _directory.Write("ca", TestKeys.HostEcdsa.ExportOpenSsh("ca"));
        var key = _directory.File("key");
        await RunAsync("ssh-keygen", "-q", "-t", type, "-N", "", "-f", key);
        await RunAsync("ssh-keygen", "-q", "-s", authority, "-I", "alice@example.com", "-n", "user-7,other", "-V", "+5m", "-z", "42", key + ".pub");
        var authenticator = new TestAuthenticator
        {
            Acceptable = static request => request.Certificate is not null,
            Outcome = static request => request.Certificate!.Check(SshCertificateKind.User, TestKeys.HostEcdsa.PublicKey, TimeProvider.System.GetUtcNow(), "user-7", null) == SshCertificateCheck.Valid
                ? SshAuthOutcome.Accept()
                : SshAuthOutcome.Fail(),
        };
        await using var server = new ExecServer(Options, authenticator);
        var result = await SshAsync(server, ["-i", key], "echo ok");
        Assert.True(result.ExitCode == 0, result.ToString());
        var proven = Assert.Single(authenticator.Proven);
        Assert.Equal(certificateType, proven.Certificate!.CertificateType);
        Assert.Equal("alice@example.com", proven.Certificate.KeyId);
        Assert.Equal(42ul, proven.Certificate.Serial);
        Assert.Equal(["user-7", "other"], proven.Certificate.Principals);
        Assert.Equal("alice", proven.User);
    }

    [Theory]
    [InlineData("aes128-gcm@openssh.com", 200)]
    [InlineData("chacha20-poly1305@openssh.com", 100)]
    public async Task Rekeys_by_ssh_during_transfers_each_way_keep_every_byte(string cipher, int megabytes)
    {
        await using var server = new ExecServer(Options, new TestAuthenticator());
        var data = RandomNumberGenerator.GetBytes(megabytes * 1_000_000);
        var result = await SshAsync(server, ["-o", $"RekeyLimit={megabytes * 80}K", "-o", $"Ciphers={cipher}"], "cat", data);
        Assert.True(result.ExitCode == 0, result.Stderr);
        Assert.Equal(SHA256.HashData(data), SHA256.HashData(result.Stdout));
        Assert.True(server.Connections.TryPeek(out var connection));
        Assert.InRange(connection.KeyExchanges, 11, 60);
    }

    [Fact]
    public async Task Rekeys_by_our_server_during_a_transfer_keep_every_byte()
    {
        await using var server = new ExecServer(Options with { RekeyBytes = 4 * 1024 * 1024 }, new TestAuthenticator());
        var data = RandomNumberGenerator.GetBytes(50_000_000);
        var result = await SshAsync(server, [], "cat", data);
        Assert.True(result.ExitCode == 0, result.Stderr);
        Assert.Equal(SHA256.HashData(data), SHA256.HashData(result.Stdout));
        Assert.True(server.Connections.TryPeek(out var connection));
        Assert.InRange(connection.KeyExchanges, 10, 60);
    }

    /// <summary>Half-close: the command sees the end of its input, thinks, and then answers a megabyte.</summary>
    [Fact]
    public async Task Output_after_the_end_of_input_arrives_whole()
    {
        await using var server = new ExecServer(Options, new TestAuthenticator());
        var result = await SshAsync(server, [], "cat >/dev/null; sleep 1; head -c 1000000 /dev/zero; exit 5", "input"u8.ToArray());
        Assert.Equal(5, result.ExitCode);
        Assert.Equal(1_000_000, result.Stdout.Length);
    }

    [Theory]
    [InlineData("exit 0", 0)]
    [InlineData("exit 255", 255)]
    [InlineData("kill -9 $$", 255)]
    public async Task Exit_codes_and_signals_reach_ssh(string command, int expected)
    {
        await using var server = new ExecServer(Options, new TestAuthenticator());
        Assert.Equal(expected, (await SshAsync(server, [], command)).ExitCode);
    }

    [Fact]
    public async Task Errors_and_output_stay_apart()
    {
        await using var server = new ExecServer(Options, new TestAuthenticator());
        var result = await SshAsync(server, [], "i=0; while [ $i -lt 2000 ]; do echo out; echo err >&2; i=$((i+1)); done");
        Assert.Equal(string.Concat(Enumerable.Repeat("out\n", 2000)), result.Text);
        Assert.Equal(string.Concat(Enumerable.Repeat("err\n", 2000)), result.Stderr);
    }

    [Fact]
    public async Task Environment_is_sent_and_a_refused_forwarding_is_reported()
    {
        await using var server = new ExecServer(Options, new TestAuthenticator());
        var result = await SshAsync(server, ["-o", "SetEnv=RELAY_TEST=yes"], "echo $RELAY_TEST");
        Assert.Equal("yes\n", result.Text);
        var refused = await SshAsync(server, ["-W", "127.0.0.1:1"], "");
        Assert.NotEqual(0, refused.ExitCode);
    }

    [Fact]
    public async Task Banner_of_a_refusal_is_shown_by_ssh()
    {
        var authenticator = new TestAuthenticator { Outcome = static _ => SshAuthOutcome.Disconnect("denied by clause 3\nid 0192", "Denied.") };
        await using var server = new ExecServer(Options, authenticator);
        var result = await SshAsync(server, ["-o", "LogLevel=INFO"], "true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("denied by clause 3", result.Stderr, StringComparison.Ordinal);
        Assert.Contains("id 0192", result.Stderr, StringComparison.Ordinal);
        Assert.Contains("Denied.", result.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ten_sessions_share_one_connection()
    {
        await using var server = new ExecServer(Options, new TestAuthenticator());
        string[] shared = ["-o", $"ControlPath={_directory.File("mux")}", "-o", "ControlMaster=auto", "-o", "ControlPersist=60"];
        Assert.Equal(0, (await SshAsync(server, shared, "true")).ExitCode);
        var results = await Task.WhenAll(Enumerable.Range(0, 9).Select(i => SshAsync(server, shared, $"cat; exit {i}", Encoding.ASCII.GetBytes($"{i}"))));
        for (var i = 0; i < results.Length; i++)
        {
            Assert.Equal(i, results[i].ExitCode);
            Assert.Equal($"{i}", results[i].Text);
        }

        Assert.Single(server.Connections);
        await SshAsync(server, [.. shared, "-O", "exit"], "true");
    }

    /// <summary>L29 in small: clients that connect and say nothing do not hold up one that does.</summary>
    [Fact]
    public async Task Silent_clients_do_not_delay_a_good_one()
    {
        await using var server = new ExecServer(Options, new TestAuthenticator());
        var silent = new List<System.Net.Sockets.TcpClient>();
        for (var i = 0; i < 200; i++)
        {
            var client = new System.Net.Sockets.TcpClient();
            silent.Add(client);
            await client.ConnectAsync("127.0.0.1", server.Port, Token);
        }

        Assert.Equal(0, (await SshAsync(server, [], "true")).ExitCode);
        silent.ForEach(static client => client.Dispose());
    }

    public void Dispose() => _directory.Dispose();

    private static SshServerOptions Options { get; } = new() { HostKeys = [TestKeys.Host, TestKeys.HostEcdsa, TestKeys.HostRsa] };

    private static async Task RunAsync(string program, params string[] arguments)
    {
        var result = await Command.RunAsync(program, arguments, cancellationToken: Token);
        Assert.True(result.ExitCode == 0, result.ToString());
    }

    private Task<CommandResult> SshAsync(ExecServer server, string[] options, string command, ReadOnlyMemory<byte> input = default)
        => Command.RunAsync(
            "ssh",
            [
                "-F", "none", .. options, "-p", server.Port.ToString(CultureInfo.InvariantCulture), "-i", _identity,
                "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "alice@127.0.0.1", command,
            ],
            stdin: input,
            cancellationToken: Token);
}
