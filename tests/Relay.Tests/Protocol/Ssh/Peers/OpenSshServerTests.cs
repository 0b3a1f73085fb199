using System.Security.Cryptography;
using System.Text;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Tests.Protocol.Ssh.Peers;

/// <summary>One sshd that trusts <see cref="TestKeys.User"/> and a user CA.</summary>
public sealed class SshdFixture : IAsyncLifetime
{
    internal static readonly SshPrivateKey Authority = SshPrivateKey.Generate(SshKeyKind.EcdsaP256);

    public SshdServer Server { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Server = await SshdServer.StartAsync(
        ["TrustedUserCAKeys {dir}/ca.pub", "AuthorizedPrincipalsFile {dir}/principals", "RekeyLimit default none"],
        new Dictionary<string, string>
        {
            ["ca.pub"] = Authority.PublicKey.ToLine() + "\n",
            ["principals"] = "relay_ssh_signed\n",
            ["authorized_keys"] = TestKeys.User.PublicKey.ToLine() + "\n" + TestKeys.HostRsa.PublicKey.ToLine() + "\n" + TestKeys.HostEcdsa.PublicKey.ToLine() + "\n",
        });

    public ValueTask DisposeAsync() => Server.DisposeAsync();
}

/// <summary>Our client against the stock <c>sshd</c>.</summary>
public sealed class OpenSshServerTests(SshdFixture fixture) : IClassFixture<SshdFixture>
{
    private readonly SshdServer _sshd = fixture.Server;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, string> Matrix() => OpenSshClientTests.Matrix();

    [Theory]
    [MemberData(nameof(Matrix))]
    public async Task Our_client_runs_a_command_with_every_algorithm(string cipher, string kex, string hostKey)
    {
        await using var connection = await ConnectAsync(new() { User = SshdServer.User, VerifyHostKey = IsOurs, Key = TestKeys.User, Ciphers = [cipher], KeyExchanges = [kex], HostKeyAlgorithms = [hostKey] });
        var result = await ExecAsync(connection, "echo out; echo err >&2; exit 7");
        Assert.Equal("out\n", result.Output);
        Assert.Equal("err\n", result.Error);
        Assert.Equal(7u, result.Status);
        Assert.Equal(new(kex, hostKey, cipher, cipher, connection.Algorithms.MacToServer, connection.Algorithms.MacToClient, StrictKeyExchange: connection.Algorithms.StrictKeyExchange), connection.Algorithms);
        Assert.True(connection.Algorithms.StrictKeyExchange, _sshd.Log);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Every_kind_of_key_logs_in(int kind)
    {
        var key = new[] { TestKeys.User, TestKeys.HostEcdsa, TestKeys.HostRsa }[kind];
        await using var connection = await ConnectAsync(Client with { Key = key });
        Assert.Equal("ok\n", (await ExecAsync(connection, "echo ok")).Output);
    }

    [Theory]
    [InlineData(SshKeyKind.Ed25519)]
    [InlineData(SshKeyKind.EcdsaP256)]
    [InlineData(SshKeyKind.Rsa3072)]
    public async Task A_certificate_of_the_trusted_authority_logs_in(SshKeyKind kind)
    {
        using var key = SshPrivateKey.Generate(kind);
        var certificate = Sign(key, "relay_ssh_signed", SshdFixture.Authority);
        await using var connection = await ConnectAsync(Client with { Key = key, Certificate = certificate });
        Assert.Equal("ok\n", (await ExecAsync(connection, "echo ok")).Output);
    }

    [Fact]
    public async Task A_certificate_with_another_principal_is_refused_with_what_the_server_takes()
    {
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        var error = await Assert.ThrowsAsync<SshException>(() => ConnectAsync(Client with { Key = key, Certificate = Sign(key, "somebody", SshdFixture.Authority) }));
        Assert.Equal(SshDisconnectReason.NoMoreAuthMethodsAvailable, error.Reason);
        Assert.Contains("(publickey)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_host_key_that_is_not_accepted_ends_the_connection_before_the_login()
    {
        var error = await Assert.ThrowsAsync<SshException>(() => ConnectAsync(Client with { VerifyHostKey = static (_, _) => new(false) }));
        Assert.Equal(SshDisconnectReason.HostKeyNotVerifiable, error.Reason);
    }

    [Theory]
    [InlineData("aes128-gcm@openssh.com", 200)]
    [InlineData("chacha20-poly1305@openssh.com", 50)]
    [InlineData("aes256-ctr", 50)]
    public async Task Rekeys_by_the_client_during_transfers_each_way_keep_every_byte(string cipher, int megabytes)
    {
        var length = megabytes * 1_000_000;
        await using var connection = await ConnectAsync(Client with { Ciphers = [cipher], RekeyBytes = length / 12 });
        var data = RandomNumberGenerator.GetBytes(length);
        var expected = Convert.ToHexStringLower(SHA256.HashData(data));

        var up = await ExecAsync(connection, "sha256sum", data);
        Assert.Equal(expected, up.Output.Split(' ')[0]);
        var exchangesUp = connection.KeyExchanges;
        Assert.InRange(exchangesUp, 11, 16);

        await using var channel = await StartAsync(connection, "cat");
        var sending = SendAsync(channel, data);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var received = 0L;
        while (await channel.ReadAsync(Token) is { Kind: not SshChannelEventKind.Closed } next)
        {
            if (next.Kind != SshChannelEventKind.Data)
                continue;
            hash.AppendData(next.Data.Span);
            received += next.Data.Length;
        }

        await sending;
        Assert.Equal(length, received);
        Assert.Equal(expected, Convert.ToHexStringLower(hash.GetHashAndReset()));
        Assert.InRange(connection.KeyExchanges - exchangesUp, 10, 30);
    }

    [Fact]
    public async Task A_killed_command_reports_its_signal()
    {
        await using var connection = await ConnectAsync(Client);
        var result = await ExecAsync(connection, "kill -TERM $$; sleep 5");
        Assert.Equal("TERM", result.Signal);
    }

    [Fact]
    public async Task Fifty_channels_in_parallel_each_get_their_own_output()
    {
        await using var connection = await ConnectAsync(Client);
        var results = await Task.WhenAll(Enumerable.Range(0, 50).Select(i => ExecAsync(connection, $"cat; exit {i}", Encoding.ASCII.GetBytes($"line {i}"))));
        for (var i = 0; i < results.Length; i++)
        {
            Assert.Equal($"line {i}", results[i].Output);
            Assert.Equal((uint)i, results[i].Status);
        }

        Assert.Equal(0, connection.ChannelCount);
    }

    [Fact]
    public async Task Output_after_our_eof_arrives_whole()
    {
        await using var connection = await ConnectAsync(Client);
        var result = await ExecAsync(connection, "cat >/dev/null; head -c 1000000 /dev/zero; exit 3");
        Assert.Equal(1_000_000, result.Output.Length);
        Assert.Equal(3u, result.Status);
    }

    [Fact]
    public async Task An_unknown_channel_type_is_refused_with_its_reason()
    {
        await using var connection = await ConnectAsync(Client);
        var error = await Assert.ThrowsAsync<SshChannelOpenException>(() => connection.OpenChannelAsync("teapot", default, Token).AsTask());
        Assert.Equal(SshChannelOpenReason.ConnectFailed, error.Reason); // what sshd answers to it
        Assert.Equal("ok\n", (await ExecAsync(connection, "echo ok")).Output);
    }

    private ValueTask<bool> IsOurs(SshHostKey key, CancellationToken cancellationToken)
    {
        var type = key.Key.KeyType switch { "ssh-ed25519" => "ed25519", "ssh-rsa" => "rsa", _ => "ecdsa" };
        return new(_sshd.HostKeyLine(type).StartsWith(key.Key.ToLine(), StringComparison.Ordinal));
    }

    private SshClientOptions Client => new() { User = SshdServer.User, Key = TestKeys.User, VerifyHostKey = IsOurs };

    private static SshCertificate Sign(SshPrivateKey key, string principal, SshPrivateKey authority)
    {
        var now = TimeProvider.System.GetUtcNow();
        var builder = new SshCertificateBuilder { Key = key.PublicKey, Kind = SshCertificateKind.User, KeyId = "test", ValidAfter = now.AddMinutes(-1), ValidBefore = now.AddMinutes(5) };
        builder.Principals.Add(principal);
        return builder.Sign(authority);
    }

    private async Task<SshConnection> ConnectAsync(SshClientOptions options)
        => await SshConnection.ConnectAsync(await _sshd.ConnectAsync(Token), options, Token);

    private static async Task<SshChannel> StartAsync(SshConnection connection, string command)
    {
        var channel = await connection.OpenChannelAsync("session", default, Token);
        Assert.True(await channel.SendRequestAsync(SshExecRequest.RequestType, true, new SshExecRequest(command).ToPayload(), Token));
        return channel;
    }

    private static async Task SendAsync(SshChannel channel, ReadOnlyMemory<byte> input)
    {
        // A command that reads nothing may be over by now.
        if (!input.IsEmpty)
            await channel.WriteAsync(input, Token);
        await channel.SendEofAsync(Token);
    }

    private static async Task<(string Output, string Error, uint? Status, string? Signal)> ExecAsync(SshConnection connection, string command, ReadOnlyMemory<byte> input = default)
    {
        await using var channel = await StartAsync(connection, command);
        var sending = SendAsync(channel, input);
        var output = new MemoryStream();
        var errors = new MemoryStream();
        uint? status = null;
        string? signal = null;
        while (await channel.ReadAsync(Token) is { Kind: not SshChannelEventKind.Closed } next)
        {
            if (next.Kind == SshChannelEventKind.Data)
                output.Write(next.Data.Span);
            else if (next.Kind == SshChannelEventKind.ExtendedData)
                errors.Write(next.Data.Span);
            else if (next.RequestType == SshExitStatus.RequestType && SshExitStatus.TryParse(next.Data.Span, out var exit))
                status = exit.Status;
            else if (next.RequestType == SshExitSignal.RequestType && SshExitSignal.TryParse(next.Data.Span, out var killed))
                signal = killed.Name;
        }

        await sending;
        return (Encoding.UTF8.GetString(output.ToArray()), Encoding.UTF8.GetString(errors.ToArray()), status, signal);
    }
}
