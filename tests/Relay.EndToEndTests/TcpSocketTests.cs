using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Npgsql;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Raw TCP sockets, over <c>relay client tcp</c> and the stock ssh: bytes, ends, refusals and what is on record.</summary>
public sealed class TcpSocketTests(OneSilo site)
{
    private const string TlsForTheAdministrator = """{"permissions":{"tls":{}},"condition":{"who":{"email":["admin@relay.local"]}}}""";

    [Fact]
    public async Task Psql_works_over_a_local_port_and_the_session_tells_it_all()
    {
        var database = new NpgsqlConnectionStringBuilder(site.Grid.Database);
        await using var postgres = TcpService.Bridge($"{database.Host}/.s.PGSQL.{database.Port}");
        await PublishAsync("pg", postgres.Port);
        await using var listener = await ListenAsync("pg");
        var answers = await Task.WhenAll(Enumerable.Range(1, 6).Select(i => Command.RunAsync(
            "psql", ["-h", "127.0.0.1", "-p", $"{listener.Port}", "-U", database.Username!, "-d", database.Database!, "-XAtc", $"SELECT {i} * 7"])));
        Assert.Equal(["7", "14", "21", "28", "35", "42"], answers.Select(a => a.ExitCode == 0 ? a.Text.Trim() : a.ToString()));
        var live = await site.Grid.RelayJsonAsync("session", "show", (await site.LastSessionAsync("pg")).GetProperty("session_id").GetString()!);
        Assert.Equal(JsonValueKind.Null, live.GetProperty("end_time").ValueKind);
        listener.Process.Signal(2);
        Assert.Equal(0, await listener.Process.WaitForExitAsync());

        var session = await site.EndedSessionAsync("pg");
        string Text(string name) => session.GetProperty(name).GetString()!;
        Assert.Equal(("tls", "allowed", "allow-pg", "site", $"127.0.0.1:{postgres.Port}", "closed by user"),
            (Text("session_type"), Text("authorization"), Text("policy_name"), Text("connector_name"), Text("target"), Text("outcome")));
        Assert.Equal(("disabled", "raw bytes are not recorded", "", 1), (Text("recording_state"), Text("recording_reason"), Text("ssh_user"), session.GetProperty("hops").GetInt32()));
        Assert.Equal("admin@relay.local", Text("user_email"));
        var done = session.GetProperty("events").EnumerateArray().Where(e => e.GetProperty("type").GetString() == "tcp_forwarding" && e.GetProperty("status").GetString() == "done").ToArray();
        Assert.Equal(6, done.Length);
        Assert.Equal(session.GetProperty("bytes_up").GetInt64(), done.Sum(e => long.Parse(e.GetProperty("metadata").GetProperty("bytes_up").GetString()!, System.Globalization.CultureInfo.InvariantCulture)));
        Assert.True(session.GetProperty("bytes_down").GetInt64() > 6);
        Assert.Contains("raw bytes are not recorded", await site.Grid.RelayAsync("session", "show", Text("session_id")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_hundred_megabytes_arrive_unchanged_both_ways_on_stdin_and_stdout()
    {
        await using var echo = TcpService.Echo();
        await using var hash = TcpService.Hash();
        await PublishAsync("big-echo", echo.Port);
        await PublishAsync("big-hash", hash.Port);
        var data = RandomNumberGenerator.GetBytes(200_000_000);
        var up = await TcpAsync("big-hash", data);
        Assert.True(up.ExitCode == 0, up.ToString());
        Assert.Equal(Hash(data), up.Text);
        var both = await TcpAsync("big-echo", data);
        Assert.True(both.ExitCode == 0, both.Stderr);
        Assert.Equal(Hash(data), Hash(both.Stdout));
    }

    [Fact]
    public async Task Two_hundred_megabytes_arrive_unchanged_both_ways_over_a_local_port()
    {
        await using var echo = TcpService.Echo();
        await PublishAsync("port-echo", echo.Port);
        await using var listener = await ListenAsync("port-echo");
        var data = RandomNumberGenerator.GetBytes(200_000_000);
        Assert.Equal(Hash(data), Hash(await OverPortAsync(listener.Port, data)));
    }

    public static TheoryData<string, string> Ends
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (var way in new[] { "stdio", "listener", "ssh -W", "ssh -L" })
            {
                data.Add(way, "client first");
                // OpenSSH's -W leaves as soon as the server has ended, with its own sshd too.
                if (way == "ssh -W")
                    continue;
                data.Add(way, "server first");
                data.Add(way, "both");
            }

            return data;
        }
    }

    // Who ends first, and that what the other one still says arrives whole.
    [Theory]
    [MemberData(nameof(Ends))]
    public async Task Each_direction_ends_alone(string way, string who)
    {
        var (up, down) = (new byte[700_000], new byte[900_000]);
        Random.Shared.NextBytes(up);
        Random.Shared.NextBytes(down);
        var arrived = new TaskCompletionSource<byte[]>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = new TcpService(async socket =>
        {
            await using var stream = new NetworkStream(socket);
            var got = new MemoryStream();
            Task ReadAsync() => stream.CopyToAsync(got);
            async Task WriteAsync()
            {
                await stream.WriteAsync(down);
                socket.Shutdown(SocketShutdown.Send);
            }

            switch (who)
            {
                case "client first":
                    await ReadAsync();
                    await WriteAsync();
                    break;
                case "server first":
                    await WriteAsync();
                    await ReadAsync();
                    break;
                default:
                    await Task.WhenAll(ReadAsync(), WriteAsync());
                    break;
            }

            arrived.TrySetResult(got.ToArray());
        });
        var name = $"ends-{way.Replace(" ", "", StringComparison.Ordinal).ToLowerInvariant()}-{who.Replace(' ', '-')}";
        await PublishAsync(name, server.Port);
        byte[] back;
        switch (way)
        {
            case "stdio":
                back = await OnStdioAsync(RelayPrograms.Cli, ["client", "tcp", "--host", name, "--stdio"]);
                break;
            case "ssh -W":
                back = await OnStdioAsync("ssh", ["-W", $"{name}:{server.Port}", .. await SshOptionsAsync(), $"{name}@127.0.0.1"]);
                break;
            case "listener":
            {
                await using var listener = await ListenAsync(name);
                back = await OverPortAsync(listener.Port, up, waitForTheEnd: who == "server first");
                await arrived.Task.WaitAsync(TimeSpan.FromSeconds(60));
                break;
            }
            default:
            {
                var port = FreePort.Next();
                await using var ssh = RunningProcess.Start("ssh -L", "ssh", ["-v", "-N", "-o", "ExitOnForwardFailure=yes", "-L", $"127.0.0.1:{port}:{name}:{server.Port}", .. await SshOptionsAsync(), $"{name}@127.0.0.1"]);
                await ssh.WaitForLineAsync("Local forwarding listening on 127.0.0.1");
                back = await OverPortAsync(port, up, waitForTheEnd: who == "server first");
                await arrived.Task.WaitAsync(TimeSpan.FromSeconds(60));
                break;
            }
        }

        Assert.Equal(Hash(down), Hash(back));
        Assert.Equal(Hash(up), Hash(await arrived.Task.WaitAsync(TimeSpan.FromSeconds(60))));

        async Task<byte[]> OnStdioAsync(string program, string[] arguments)
        {
            // Standard input ends only after standard output has, when the server is to be first.
            if (who != "server first")
            {
                var result = await Command.RunAsync(program, arguments, site.Grid.CliEnvironment(site.Grid.Silos[0]), up);
                Assert.True(result.ExitCode == 0, result.Stderr);
                return result.Stdout;
            }

            var info = new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
            foreach (var (key, value) in site.Grid.CliEnvironment(site.Grid.Silos[0]))
                info.Environment[key] = value;
            using var process = Process.Start(info)!;
            var errors = process.StandardError.ReadToEndAsync();
            var got = new MemoryStream();
            await process.StandardOutput.BaseStream.CopyToAsync(got);
            await process.StandardInput.BaseStream.WriteAsync(up);
            process.StandardInput.Close();
            await process.WaitForExitAsync();
            Assert.True(process.ExitCode == 0, await errors);
            return got.ToArray();
        }
    }

    [Fact]
    public async Task Losing_the_right_ends_the_streams_and_says_why()
    {
        await using var echo = TcpService.Echo();
        await PublishAsync("cut", echo.Port);
        await using var listener = await ListenAsync("cut");
        using var local = new TcpClient();
        await local.ConnectAsync(IPAddress.Loopback, listener.Port);
        await ExchangeAsync(local);
        await using var stdio = RunningProcess.Start("stdio", RelayPrograms.Cli, ["client", "tcp", "--host", "cut"], site.Grid.CliEnvironment(site.Grid.Silos[0]));
        await stdio.WriteLineAsync("through");
        await stdio.WaitForLineAsync("through");

        await site.Grid.RelayAsync("socket", "policy", "detach", "--socket", "cut", "--name", "allow-cut");
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (await local.GetStream().ReadAsync(new byte[1]) > 0)
            {
                // What was on its way.
            }

            throw new InvalidOperationException("the stream was ended as if it were whole");
        });
        foreach (var client in new[] { listener.Process, stdio })
        {
            Assert.True(await client.WaitForExitAsync() == 4, $"{client.Name}: {client.Output}");
            Assert.Contains("Access denied: connect on \"cut\": no policy applies to this socket.", client.Output, StringComparison.Ordinal);
            Assert.Contains("Decision ", client.Output, StringComparison.Ordinal);
        }

        Assert.StartsWith("access revoked: no_policy", (await site.EndedSessionAsync("cut")).GetProperty("outcome").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_kill_and_the_policys_limit_end_a_session()
    {
        await using var echo = TcpService.Echo();
        await PublishAsync("raw-killed", echo.Port);
        await using var killed = RunningProcess.Start("killed", RelayPrograms.Cli, ["client", "tcp", "--host", "raw-killed"], site.Grid.CliEnvironment(site.Grid.Silos[0]));
        await killed.WriteLineAsync("through");
        await killed.WaitForLineAsync("through");
        await site.Grid.RelayAsync("session", "kill", "--socket", "raw-killed");
        Assert.Equal(1, await killed.WaitForExitAsync());
        Assert.Contains("the session was ended by admin@relay.local", killed.Output, StringComparison.Ordinal);

        await PublishAsync("limited", echo.Port, """{"permissions":{"tls":{"max_session_duration_seconds":8}},"condition":{"who":{"email":["admin@relay.local"]}}}""");
        await using var limited = RunningProcess.Start("limited", RelayPrograms.Cli, ["client", "tcp", "--host", "limited"], site.Grid.CliEnvironment(site.Grid.Silos[0]));
        await limited.WriteLineAsync("through");
        await limited.WaitForLineAsync("through");
        Assert.Equal(1, await limited.WaitForExitAsync());
        Assert.Contains(await OutcomeAsync("limited"), new[] { "maximum duration reached", "time limit reached" });
    }

    [Fact]
    public async Task What_policy_does_not_permit_is_refused_with_clause_fact_and_id()
    {
        await using var echo = TcpService.Echo();
        await PublishAsync("ssh-only", echo.Port, OneSilo.EverythingForTheAdministrator);
        var refused = await TcpAsync("ssh-only", []);
        Assert.Equal(4, refused.ExitCode);
        Assert.Contains("Policy \"allow-ssh-only\", $.permissions.tls: it does not permit tls.", refused.Stderr, StringComparison.Ordinal);
        var session = await site.EndedSessionAsync("ssh-only");
        Assert.Equal(("denied", "tls"), (session.GetProperty("authorization").GetString(), session.GetProperty("session_type").GetString()));
        Assert.Contains($"Decision {session.GetProperty("decision_id").GetString()}", refused.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Whatever_else_is_asked_of_it_is_refused_with_what_to_do_instead()
    {
        await using var echo = TcpService.Echo();
        await PublishAsync("only-tcp", echo.Port);
        const string Advice = "use relay client tcp --host only-tcp --listener PORT, or ssh -N -L PORT:only-tcp:";
        foreach (var what in new[] { new[] { "true" }, ["-s", "sftp"], [] })
        {
            var options = what is ["-s", _] ? new[] { "-s" } : [];
            var refused = await Command.RunAsync("ssh", [.. await SshOptionsAsync(), .. options, "only-tcp@127.0.0.1", .. what.Except(options)]);
            Assert.Equal(255, refused.ExitCode);
            Assert.Contains("a socket of type \"tls\" has no such action", refused.Stderr, StringComparison.Ordinal);
            Assert.Contains(Advice, refused.Stderr, StringComparison.Ordinal);
        }

        foreach (var elsewhere in new[] { $"127.0.0.1:{echo.Port}", "only-tcp:1", $"db-host:{echo.Port}" })
        {
            var refused = await Command.RunAsync("ssh", ["-W", elsewhere, .. await SshOptionsAsync(), "only-tcp@127.0.0.1"]);
            Assert.Equal(255, refused.ExitCode);
            Assert.Contains("has no such action", refused.Stderr, StringComparison.Ordinal);
            Assert.Contains(Advice, refused.Stderr, StringComparison.Ordinal);
        }

        var itself = await Command.RunAsync("ssh", ["-W", $"ONLY-tcp.relay:{echo.Port}", .. await SshOptionsAsync(), "only-tcp@127.0.0.1"], stdin: "hello"u8.ToArray());
        Assert.Equal("hello", itself.Text);
    }

    [Fact]
    public async Task A_target_that_is_not_there_and_one_that_breaks_off_are_told_apart()
    {
        await PublishAsync("nowhere", FreePort.Next());
        var unreachable = await TcpAsync("nowhere", []);
        Assert.Equal(1, unreachable.ExitCode);
        Assert.Contains("connector site: 127.0.0.1", unreachable.Stderr, StringComparison.Ordinal);

        await using var rude = new TcpService(async socket =>
        {
            await socket.ReceiveAsync(new byte[1]);
            socket.LingerState = new LingerOption(true, 0);
        });
        await PublishAsync("rude", rude.Port);
        var reset = await TcpAsync("rude", new byte[1000]);
        Assert.Equal(1, reset.ExitCode);
        Assert.Contains("was broken off by the other side", reset.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_udp_socket_is_kept_and_refused_to_everything_but_WireGuard()
    {
        await site.Grid.RelayAsync("socket", "create", "udp", "--name", "dns", "--connector", "site", "--host", "127.0.0.1", "--port", "53");
        await site.AllowAsync("dns", TlsForTheAdministrator);
        var shown = await site.Grid.RelayJsonAsync("socket", "show", "dns");
        Assert.Equal(("udp", "127.0.0.1:53"), (shown.GetProperty("socket_type").GetString(), shown.GetProperty("hosts")[0].GetProperty("host").GetString()));
        foreach (var refused in new[] { await TcpAsync("dns", []), await Command.RunAsync("ssh", ["-W", "dns:53", .. await SshOptionsAsync(), "dns@127.0.0.1"]) })
        {
            Assert.NotEqual(0, refused.ExitCode);
            Assert.Contains("socket dns carries UDP, which is reached over WireGuard only", refused.Stderr, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("name --listener or --stdio, not both", "client", "tcp", "--host", "x", "--listener", "1", "--stdio")]
    [InlineData("--listener takes a port", "client", "tcp", "--host", "x", "--listener", "65536")]
    [InlineData("--listener takes a port", "client", "tcp", "--host", "x", "--listener", "-1")]
    [InlineData("--host", "client", "tcp")]
    [InlineData("a socket's name is", "client", "tcp", "--host", "a b")]
    [InlineData("--username has no meaning for a tls socket", "socket", "create", "tcp", "--name", "x", "--host", "h", "--port", "1", "--username", "u")]
    [InlineData("--auth has no meaning for a udp socket", "socket", "create", "udp", "--name", "x", "--host", "h", "--port", "1", "--auth", "private_key")]
    public async Task What_makes_no_sense_is_a_usage_error(string sentence, params string[] arguments)
    {
        var result = await site.Grid.CliAsync(arguments);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains(sentence, result.Stderr, StringComparison.Ordinal);
    }

    private async Task PublishAsync(string name, int port, string policy = TlsForTheAdministrator)
    {
        await site.Grid.RelayAsync("socket", "create", "tcp", "--name", name, "--connector", "site", "--host", "127.0.0.1", "--port", $"{port}");
        await site.AllowAsync(name, policy);
    }

    private Task<CommandResult> TcpAsync(string socket, byte[] input) =>
        Command.RunAsync(RelayPrograms.Cli, ["client", "tcp", "--host", socket], site.Grid.CliEnvironment(site.Grid.Silos[0]), input);

    private async Task<Listener> ListenAsync(string socket)
    {
        var process = RunningProcess.Start($"relay client tcp {socket}", RelayPrograms.Cli, ["client", "tcp", "--host", socket, "--listener", "0", "--output", "json"], site.Grid.CliEnvironment(site.Grid.Silos[0]));
        using var document = JsonDocument.Parse(await process.WaitForLineAsync("{"));
        Assert.Equal((socket, "127.0.0.1"), (document.RootElement.GetProperty("socket").GetString(), document.RootElement.GetProperty("host").GetString()));
        return new Listener(process, document.RootElement.GetProperty("port").GetInt32());
    }

    /// <summary>Sends everything and ends, reading meanwhile until the other side has ended.</summary>
    /// <param name="waitForTheEnd">Sends only when the other side has ended.</param>
    private static async Task<byte[]> OverPortAsync(int port, byte[] data, bool waitForTheEnd = false)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port);
        var got = new MemoryStream();
        var reading = client.GetStream().CopyToAsync(got);
        if (waitForTheEnd)
            await reading;
        await client.GetStream().WriteAsync(data);
        client.Client.Shutdown(SocketShutdown.Send);
        await reading;
        return got.ToArray();
    }

    private static async Task ExchangeAsync(TcpClient client)
    {
        await client.GetStream().WriteAsync("ping"u8.ToArray());
        var answer = new byte[4];
        await client.GetStream().ReadExactlyAsync(answer);
        Assert.Equal("ping", Encoding.ASCII.GetString(answer));
    }

    private async Task<string> OutcomeAsync(string socket) => (await site.EndedSessionAsync(socket)).GetProperty("outcome").GetString()!;

    private async Task<string[]> SshOptionsAsync()
    {
        await site.Grid.SshConfigAsync();
        var ssh = Path.Combine(site.Grid.Home, "ssh");
        return ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", $"UserKnownHostsFile={ssh}/known_hosts", "-o", "HostKeyAlias=relay-gateway",
            "-i", $"{ssh}/id_ed25519", "-p", site.Grid.SshAddress.Split(':')[1]];
    }

    private static string Hash(byte[] data) => Convert.ToHexStringLower(SHA256.HashData(data));

    private sealed record Listener(RunningProcess Process, int Port) : IAsyncDisposable
    {
        public ValueTask DisposeAsync() => Process.DisposeAsync();
    }
}
