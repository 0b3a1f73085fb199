using System.Text.Json;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>
/// L25, over three silos: whatever takes a right away ends every stream that lived by it, whichever silo is told, and nobody else's; the
/// answer to the write says on how many silos that is so, and each user reads why.
/// </summary>
public sealed class RevocationTests(RevocationTests.Site site) : IClassFixture<RevocationTests.Site>
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Every_kind_of_stream_ends_with_its_user_and_nobody_elses()
    {
        await using var echo = TcpService.Echo();
        await using var bystander = await site.PersonAsync();
        await using var person = await site.PersonAsync();
        await bystander.ExecAsync();
        await person.ExecAsync();
        await person.ShellAsync();
        await person.ForwardAsync(echo.Port);
        await person.TransferAsync();
        await person.IdleAsync();
        await person.SessionsAsync(live: 5);

        // The second silo holds neither the gateway's control stream nor these sessions.
        var answer = await site.WriteAsync(1, "user", "delete", person.Email);
        await site.InForceEverywhereAsync(answer);
        await person.AllEndedAsync("the user does not exist any more", "access revoked: the user does not exist any more");
        Assert.False(bystander.Clients[0].HasExited, "somebody else's session was touched");
        Assert.Equal("", (await bystander.SessionsAsync(live: 1))[0].GetProperty("outcome").GetString());
    }

    public static TheoryData<string, string> Changes => new()
    {
        { "policy detached", "no policy" },
        { "removed from the group", "no policy" },
        { "key removed", "the key that proved the user is not accepted any more" },
        { "socket deleted", "the socket does not exist any more" },
        { "socket leads elsewhere", "does not lead to" },
        { "connector taken off the socket", "does not serve" },
        { "connector deleted", "does not serve" },
        { "connector's token revoked", "was revoked" },
        { "killed", "the session was ended by admin@relay.local" },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task Each_change_ends_what_lived_by_it_with_the_reason(string change, string reason)
    {
        await using var echo = TcpService.Echo();
        await using var bystander = await site.PersonAsync();
        await using var person = await site.PersonAsync(viaGroup: change == "removed from the group");
        await bystander.ExecAsync();
        await person.ExecAsync();
        await person.ForwardAsync(echo.Port);
        await person.IdleAsync();
        await person.SessionsAsync(live: 3);
        string[] write = change switch
        {
            "policy detached" => ["policy", "detach", "--name", person.Policy, "--socket", person.Socket],
            "removed from the group" => ["group", "member", "remove", person.Group, person.Email],
            "key removed" => ["key", "delete", await person.KeyIdAsync(), "--user", person.Email],
            "socket deleted" => ["socket", "delete", person.Socket],
            "socket leads elsewhere" => ["socket", "update", person.Socket, "--port", "9"],
            "connector taken off the socket" => ["socket", "update", person.Socket, "--connector", bystander.Connector],
            "connector deleted" => ["connector", "delete", person.Connector],
            "connector's token revoked" => ["connector", "token", "revoke", "--token-id", await person.TokenIdAsync()],
            _ => ["session", "kill", "--user", person.Email],
        };
        var answer = await site.WriteAsync(Changes.TakeWhile(c => c.Data.Item1 != change).Count() % 3, write);
        if (change == "killed")
            Assert.Equal((1, 1), (answer.GetProperty("revocation").GetProperty("silos").GetInt32(), answer.GetProperty("revocation").GetProperty("confirmed").GetInt32()));
        else
            await site.InForceEverywhereAsync(answer);
        await person.AllEndedAsync(reason, change == "killed" ? "killed by admin@relay.local" : "access revoked");
        Assert.False(bystander.Clients[0].HasExited, "somebody else's session was touched");
    }

    [Fact]
    public async Task The_command_line_says_where_a_change_is_in_force_and_the_metrics_how_long_it_took()
    {
        await using var person = await site.PersonAsync();
        await person.ExecAsync();
        await person.SessionsAsync(live: 1);
        var result = await site.Grid.CliOnAsync(site.Grid.Silos[2], "policy", "detach", "--name", person.Policy, "--socket", person.Socket);
        Assert.Equal(0, result.ExitCode);
        Assert.Matches("in force on [123] of 3 silos", result.Stderr);
        await person.AllEndedAsync("no policy", "access revoked");
        using var http = new HttpClient();
        var counted = 0;
        foreach (var silo in site.Grid.Silos)
        {
            var metrics = await http.GetStringAsync(new Uri($"{silo.Api}/metrics"), TestContext.Current.CancellationToken);
            Assert.Contains("relay_revocation_seconds_bucket{le=\"1\"}", metrics, StringComparison.Ordinal);
            counted += int.Parse(metrics.Split('\n').Single(l => l.StartsWith("relay_revocation_seconds_count ", StringComparison.Ordinal)).Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);
        }

        Assert.True(counted > 0);
    }

    /// <summary>Three silos, the gateway on the first, and the means to make people with sockets of their own.</summary>
    public sealed class Site : IAsyncLifetime
    {
        private int _people;

        public RelayGrid Grid { get; private set; } = null!;

        public SshdServer Target { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Grid = await RelayGrid.StartAsync(silos: 3, gatewaySilo: 0);
            Target = await TargetSshd.StartAsync(await Grid.RelayAsync("org", "ssh-ca"));
            await Grid.RelayAsync("policy", "delete", "default-org-policy");
            await Grid.SshConfigAsync();
        }

        public async ValueTask DisposeAsync()
        {
            if (Target is not null)
                await Target.DisposeAsync();
            if (Grid is not null)
                await Grid.DisposeAsync();
        }

        /// <summary>A user with a key, a connector, a socket and a policy of their own; connectors are spread over the silos.</summary>
        public async Task<Person> PersonAsync(bool viaGroup = false)
        {
            var number = Interlocked.Increment(ref _people);
            var person = new Person(this, $"p{number}");
            await Grid.StartConnectorAsync(person.Connector, number % 3);
            await Command.RunAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", person.KeyFile]);
            await Grid.RelayAsync("user", "add", "--email", person.Email);
            await Grid.RelayAsync("key", "add", person.KeyFile + ".pub", "--user", person.Email);
            if (viaGroup)
                await Grid.RelayAsync("group", "add", "--name", person.Group, "--member", person.Email);
            await Grid.RelayAsync("socket", "create", "ssh", "--name", person.Socket, "--connector", person.Connector, "--host", "127.0.0.1", "--port", $"{Target.Port}",
                "--username", Environment.UserName, "--host-key", Target.HostKey());
            var who = viaGroup ? $$"""{"group":["{{person.Group}}"]}""" : $$"""{"email":["{{person.Email}}"]}""";
            var document = Path.Combine(Grid.Folder, $"{person.Policy}.json");
            await File.WriteAllTextAsync(document, $$"""{"permissions":{"ssh":{"shell":{},"exec":{},"sftp":{},"tcp_forwarding":{} } },"condition":{"who":{{who}} } }""");
            await Grid.RelayAsync("policy", "create", "--name", person.Policy, "--file", document, "--socket", person.Socket);
            return person;
        }

        /// <summary>Writes through one of the silos.</summary>
        public async Task<JsonElement> WriteAsync(int silo, params string[] arguments)
        {
            var result = await Grid.CliOnAsync(Grid.Silos[silo], [.. arguments, "--output", "json"]);
            Assert.True(result.ExitCode == 0, $"{result}\n{Grid.Logs()}");
            using var document = JsonDocument.Parse(result.Text);
            return document.RootElement.Clone();
        }

        /// <summary>The answer says so; it waits for two seconds, and for what a silo has not confirmed by then the answer to a later change does.</summary>
        public async Task InForceEverywhereAsync(JsonElement answer)
        {
            using var limit = new CancellationTokenSource(Limit);
            var revocation = answer.GetProperty("revocation");
            Assert.True(revocation.GetProperty("version").GetInt64() > 1);
            while (revocation.GetProperty("confirmed").GetInt32() < 3)
            {
                Assert.False(limit.IsCancellationRequested, $"{revocation}\n{Grid.Logs()}");
                revocation = (await WriteAsync(0, "group", "add", "--name", $"later-{Interlocked.Increment(ref _people)}")).GetProperty("revocation");
            }

            Assert.Equal(3, revocation.GetProperty("silos").GetInt32());
            Assert.True(revocation.GetProperty("seconds").GetDouble() > 0);
        }
    }

    /// <summary>Somebody with live connections.</summary>
    public sealed class Person(Site site, string name) : IAsyncDisposable
    {
        public List<RunningProcess> Clients { get; } = [];

        public string Email => $"{name}@example.test";

        public string Connector => $"{name}-connector";

        public string Socket => $"{name}-host";

        public string Policy => $"{name}-policy";

        public string Group => $"{name}-group";

        public string KeyFile => Path.Combine(site.Grid.Folder, name);

        public Task ExecAsync() => StartAsync("exec", "ssh", [.. Options(), Login(), "echo live; exec sleep 300"], "live");

        public Task ShellAsync() => StartAsync("shell", "bash", [.. Typing("echo li''ve"), "ssh", "-tt", .. Options(), Login()], "live");

        // -W is a direct-tcpip channel on stdin and stdout; what comes back went through it.
        public Task ForwardAsync(int port) =>
            StartAsync("forward", "bash", [.. Typing("live"), "ssh", "-W", $"127.0.0.1:{port}", .. Options(), Login()], "live");

        /// <summary>An upload that goes on for ever, at full speed.</summary>
        public async Task TransferAsync()
        {
            var endless = KeyFile + ".big";
            await using (var file = File.Create(endless))
                file.SetLength(1L << 40);
            await StartAsync("sftp", "bash", [.. Typing($"put {endless} /dev/null"), "sftp", "-P", Port(), .. Options().Skip(2), Login()], "Uploading");
        }

        /// <summary>A connection that asks for nothing.</summary>
        public Task IdleAsync() => StartAsync("idle", "ssh", ["-N", .. Options(), Login()], null);

        /// <summary>Waits until so many of the user's sessions live, and gives them.</summary>
        public async Task<JsonElement[]> SessionsAsync(int live)
        {
            using var limit = new CancellationTokenSource(Limit);
            while (true)
            {
                var list = (await site.Grid.RelayJsonAsync("session", "ls", "--user", Email)).GetProperty("list").EnumerateArray().ToArray();
                if (list.Count(s => s.GetProperty("end_time").ValueKind == JsonValueKind.Null) == live)
                    return list;
                Assert.False(limit.IsCancellationRequested, $"{live} live sessions of {Email}\n{string.Join("\n", Clients.Select(c => c.Output))}\n{site.Grid.Logs()}");
            }
        }

        /// <summary>Every client has been cut off with that text, and every row says that outcome.</summary>
        public async Task AllEndedAsync(string reason, string outcome)
        {
            foreach (var client in Clients)
            {
                Assert.NotEqual(0, await client.WaitForExitAsync(Limit));
                Assert.True(client.Output.Contains(reason, StringComparison.Ordinal), $"{client.Name} does not say '{reason}':\n{client.Output}");
            }

            foreach (var session in await SessionsAsync(live: 0))
                Assert.StartsWith(outcome, session.GetProperty("outcome").GetString()!, StringComparison.Ordinal);
        }

        public async Task<string> KeyIdAsync() => (await site.Grid.RelayJsonAsync("key", "ls", "--user", Email)).GetProperty("list")[0].GetProperty("key_id").GetString()!;

        public async Task<string> TokenIdAsync() =>
            (await site.Grid.RelayJsonAsync("connector", "token", "list", "--connector", Connector)).GetProperty("list")[0].GetProperty("id").GetString()!;

        public async ValueTask DisposeAsync()
        {
            foreach (var client in Clients)
                await client.DisposeAsync();
        }

        private async Task StartAsync(string what, string file, string[] arguments, string? line)
        {
            var client = RunningProcess.Start($"{name} {what}", file, arguments);
            Clients.Add(client);
            if (line is not null)
                await client.WaitForLineAsync(line);
        }

        // A client whose stdin says one line and then stays open for as long as the client lives.
        private static string[] Typing(string line) => ["-c", "line=$1; shift; exec \"$@\" < <(exec 2>/dev/null; printf '%s\\n' \"$line\"; exec tail -f /dev/null --pid=$$)", "bash", line];

        private string Port() => site.Grid.SshAddress.Split(':')[1];

        private string Login() => $"{Socket}@{site.Grid.SshAddress.Split(':')[0]}";

        private string[] Options() =>
        [
            "-p", Port(), "-F", "none", "-i", KeyFile, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "HostKeyAlias=relay-gateway",
            "-o", $"UserKnownHostsFile={site.Grid.Home}/ssh/known_hosts",
        ];
    }
}
