using System.Globalization;
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
        Assert.Equal("out\n", result.OutputText);
        Assert.Equal("err\n", result.Error);
        Assert.True(server.Connections.TryPeek(out var connection));
        Assert.Equal(cipher, connection.Algorithms.CipherToServer);
        Assert.Equal(kex, connection.Algorithms.KeyExchange);
        Assert.Equal(hostKey, connection.Algorithms.HostKey);
    }

    public void Dispose() => _directory.Dispose();

    private static SshServerOptions Options { get; } = new() { HostKeys = [TestKeys.Host, TestKeys.HostEcdsa, TestKeys.HostRsa] };

    private Task<ProcessResult> SshAsync(ExecServer server, string[] options, string command, ReadOnlyMemory<byte> input = default)
        => ChildProcess.RunAsync(
            "ssh",
            [
                "-F", "none", "-p", server.Port.ToString(CultureInfo.InvariantCulture), "-i", _identity,
                "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", .. options, "alice@127.0.0.1", command,
            ],
            input,
            cancellationToken: Token);
}
