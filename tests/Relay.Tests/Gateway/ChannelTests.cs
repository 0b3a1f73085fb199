using System.Net;
using System.Net.Sockets;
using System.Text;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.TestKit;

namespace Relay.Tests.Gateway;

/// <summary>Every kind of channel and request: allowed ones work as without a gateway, each is asked for once, the others are refused.</summary>
public sealed class ChannelTests
{
    [Fact]
    public async Task A_terminal_has_the_size_and_type_that_were_asked_for_and_follows_changes()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var user = await host.ConnectAsync();
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        Assert.True(await channel.SendRequestAsync("pty-req", true, Payload("xterm-256color", 100u, 30u, 0u, 0u, ""), GatewayHost.Deadline));
        Assert.True(await channel.SendRequestAsync("exec", true, Payload("stty size; echo $TERM; read x; stty size; read x"), GatewayHost.Deadline));
        var output = new StringBuilder();
        await ReadUntilAsync(channel, output, "xterm-256color");
        Assert.Contains("30 100", output.ToString(), StringComparison.Ordinal);
        await channel.SendRequestAsync("window-change", false, Payload(120u, 40u, 0u, 0u), GatewayHost.Deadline);
        await channel.WriteAsync("go\n"u8.ToArray(), GatewayHost.Deadline);
        await ReadUntilAsync(channel, output, "40 120");
        await channel.CloseAsync(GatewayHost.Deadline);
        await user.DisposeAsync();
        await host.EndOfAsync(host.LastSession);
        Assert.Contains("\"width\":100,\"height\":30", host.Silo.Recorded(0)[0], StringComparison.Ordinal);
        Assert.Contains(host.Silo.Recorded(0), l => l.EndsWith("\"r\", \"120x40\"]", StringComparison.Ordinal));
        Assert.Contains("30 100", host.Silo.RecordedText(0), StringComparison.Ordinal);
    }

    // A stock sshd signals nothing for root, so the target is scripted; RFC 4254 §6.9, RFC 4335.
    [Fact]
    public async Task Requests_pass_both_ways_in_order_with_their_answers()
    {
        var seen = new System.Collections.Concurrent.ConcurrentQueue<string>();
        await using var target = new ScriptedTarget(async channel =>
        {
            while (true)
            {
                var read = await channel.ReadAsync();
                if (read.Kind == SshChannelEventKind.Closed)
                {
                    return;
                }

                if (read.Kind == SshChannelEventKind.Request)
                {
                    seen.Enqueue($"{read.RequestType} {Convert.ToHexString(read.Data.Span)}");
                    var last = read.RequestType == "break";
                    if (read.WantReply)
                    {
                        await channel.ReplyAsync(true);
                    }

                    if (last)
                    {
                        await channel.WriteAsync("bye"u8.ToArray());
                        await channel.SendRequestAsync("exit-signal", false, ExitSignal());
                        await channel.SendEofAsync();
                        await channel.CloseAsync();
                    }
                }
            }
        });
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        host.Silo.Target = target.Address;
        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { HostKeys = [target.HostKeyLine] } };
        await using var user = await host.ConnectAsync();
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        Assert.True(await channel.SendRequestAsync("shell", true, default, GatewayHost.Deadline));
        await channel.SendRequestAsync("signal", false, Payload("INT"), GatewayHost.Deadline);
        Assert.False(await channel.SendRequestAsync("made-up@example.com", true, default, GatewayHost.Deadline));
        Assert.False(await channel.SendRequestAsync("env", true, Payload("LANG", "C"), GatewayHost.Deadline));
        Assert.False(await channel.SendRequestAsync("exec", true, Payload("second"), GatewayHost.Deadline));
        Assert.True(await channel.SendRequestAsync("break", true, Payload(500u), GatewayHost.Deadline));
        var order = new List<string>();
        SshChannelEvent read;
        do
        {
            read = await channel.ReadAsync(GatewayHost.Deadline);
            order.Add(read.Kind == SshChannelEventKind.Request ? $"{read.RequestType} {Convert.ToHexString(read.Data.Span)}" : read.Kind.ToString());
        }
        while (read.Kind != SshChannelEventKind.Closed);

        Assert.Equal(["Data", $"exit-signal {Convert.ToHexString(ExitSignal())}", "Eof", "Closed"], order);
        Assert.Equal(["shell ", $"signal {Convert.ToHexString(Payload("INT"))}", $"break {Convert.ToHexString(Payload(500u))}"], seen);
        Assert.Single(host.Silo.Asked);
    }

    private static byte[] ExitSignal()
    {
        using var writer = new SshWriter();
        writer.WriteString("SEGV");
        writer.WriteBoolean(true);
        writer.WriteString("core dumped");
        writer.WriteString("");
        return writer.ToArray();
    }

    // RFC 4254 §6.10 leaves the order open; what the target sent is what the user gets: data, status, EOF, close.
    [Fact]
    public async Task Exit_status_end_and_close_keep_their_order()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var user = await host.ConnectAsync();
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        Assert.True(await channel.SendRequestAsync("exec", true, Payload("echo x; exit 3"), GatewayHost.Deadline));
        var order = new List<string>();
        while (true)
        {
            var read = await channel.ReadAsync(GatewayHost.Deadline);
            order.Add(read.Kind == SshChannelEventKind.Request ? read.RequestType! : read.Kind.ToString());
            if (read.Kind == SshChannelEventKind.Closed)
            {
                break;
            }
        }

        Assert.Equal("Data", order[0]);
        Assert.Equal("Closed", order[^1]);
        Assert.Equal(["Eof", "exit-status"], order[1..^1].Order(StringComparer.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task Sftp_and_scp_copy_both_ways_and_each_operation_is_told()
    {
        await using var host = await GatewayHost.StartAsync();
        using var files = new TempDir();
        var content = new byte[5_000_000];
        new Random(2).NextBytes(content);
        await File.WriteAllBytesAsync(files.File("up"), content, GatewayHost.Deadline);
        var batch = $"put {files.File("up")} {files.File("there")}\nrename {files.File("there")} {files.File("moved")}\nget {files.File("moved")} {files.File("back")}\nmkdir {files.File("d")}\nrmdir {files.File("d")}\nrm {files.File("moved")}\n";
        var sftp = await Command.RunAsync("sftp", [.. host.ClientOptions("-P"), "-b", "-", "127.0.0.1"], stdin: Encoding.UTF8.GetBytes(batch), cancellationToken: GatewayHost.Deadline);
        Assert.True(sftp.ExitCode == 0, sftp.ToString());
        Assert.Equal(content, await File.ReadAllBytesAsync(files.File("back"), GatewayHost.Deadline));
        await host.EndOfAsync(host.LastSession);
        var told = host.Silo.Events.Where(e => e.Type == "sftp" && e.Status == "requested").OrderBy(e => int.Parse(e.Metadata["seq"])).Select(e => (e.Metadata["operation"], Path.GetFileName(e.Metadata["path"]))).ToList();
        (string, string)[] expected = [("open", "there"), ("posix-rename@openssh.com", "there"), ("open", "moved"), ("mkdir", "d"), ("rmdir", "d"), ("remove", "moved")];
        Assert.All(expected, operation => Assert.Contains(operation, told));
        var done = Assert.Single(host.Silo.Events, e => e.Type == "sftp" && e.Status == "done");
        Assert.Equal("5000000", done.Metadata["file_bytes_written"]);
        Assert.Empty(host.Silo.Chunks);

        foreach (var mode in new[] { "-s", "-O" })
        {
            var scp = await Command.RunAsync("scp", [mode, .. host.ClientOptions("-P"), files.File("up"), $"127.0.0.1:{files.File("scp" + mode)}"], cancellationToken: GatewayHost.Deadline);
            Assert.True(scp.ExitCode == 0, scp.ToString());
            Assert.Equal(content, await File.ReadAllBytesAsync(files.File("scp" + mode), GatewayHost.Deadline));
        }

        Assert.Equal(["sftp", "sftp", "exec"], host.Silo.Asked.Select(a => a.Action));
    }

    [Fact]
    public async Task A_forward_reaches_its_destination_and_ends_by_halves()
    {
        await using var host = await GatewayHost.StartAsync();
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var server = Task.Run(async () =>
        {
            using var accepted = await listener.AcceptTcpClientAsync(GatewayHost.Deadline);
            var all = new MemoryStream();
            await accepted.GetStream().CopyToAsync(all, GatewayHost.Deadline);

            // The user has finished; the answer comes a moment later and must arrive whole.
            await Task.Delay(TimeSpan.FromMilliseconds(300), TimeProvider.System, GatewayHost.Deadline);
            await accepted.GetStream().WriteAsync(new byte[1_000_000], GatewayHost.Deadline);
            accepted.Client.Shutdown(SocketShutdown.Send);
            return all.Length;
        });
        var result = await host.SshAsync(["-W", $"127.0.0.1:{port}"], [], new byte[200_000]);
        Assert.Equal(1_000_000, result.Stdout.Length);
        Assert.Equal(200_000, await server);
        await host.EndOfAsync(host.LastSession);
        Assert.Equal(("tcp_forwarding", "127.0.0.1", port), Assert.Single(host.Silo.Asked.Select(a => (a.Action, a.DestinationAddress, a.DestinationPort!.Value))));
        var done = Assert.Single(host.Silo.Events, e => e.Type == "tcp_forwarding" && e.Status == "done");
        Assert.Equal(("200000", "1000000"), (done.Metadata["bytes_up"], done.Metadata["bytes_down"]));
    }

    [Fact]
    public async Task A_forward_to_nowhere_fails_with_the_targets_reason()
    {
        await using var host = await GatewayHost.StartAsync();
        var result = await host.SshAsync(["-W", "127.0.0.1:1"], []);
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("refused", result.Stderr, StringComparison.OrdinalIgnoreCase);
        await host.EndOfAsync(host.LastSession);
        Assert.Contains(host.Silo.Events, e => e.Type == "tcp_forwarding" && e.Status == "failed");
    }

    [Fact]
    public async Task An_agent_is_forwarded_when_allowed_and_only_then()
    {
        await using var host = await GatewayHost.StartAsync();
        using var files = new TempDir();
        var agent = await Command.RunAsync("bash", ["-c",
            $"eval $(ssh-agent -a {files.File("s")}) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; ssh-add -q {host.UserKeyFile}; ssh {Quoted(host.ClientOptions())} -A 127.0.0.1 'ssh-add -l; ssh-add -l; ssh-add -l'"],
            cancellationToken: GatewayHost.Deadline);
        Assert.True(agent.ExitCode == 0, agent.ToString());
        Assert.Equal(3, agent.Text.Split('\n').Count(l => l.Contains("ED25519", StringComparison.Ordinal)));
        Assert.Equal(["agent_forwarding", "exec"], host.Silo.Asked.Select(a => a.Action));

        host.Silo.Authorize = request => new AuthorizeResponse(request.Action != "agent_forwarding", Guid.NewGuid(), "agent forwarding is not in your policy");
        var denied = await Command.RunAsync("bash", ["-c",
            $"eval $(ssh-agent -a {files.File("t")}) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT; ssh-add -q {host.UserKeyFile}; ssh {Quoted(host.ClientOptions())} -A 127.0.0.1 'echo \"sock:$SSH_AUTH_SOCK\"'"],
            cancellationToken: GatewayHost.Deadline);
        Assert.Equal("sock:\n", denied.Text);
        Assert.Contains("agent forwarding is not in your policy", denied.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_denied_command_is_explained_on_stderr_and_never_starts()
    {
        await using var host = await GatewayHost.StartAsync();
        using var files = new TempDir();
        host.Silo.Authorize = request => new AuthorizeResponse(request.Command == "id", Guid.NewGuid(), "exec \"touch\" is not in commands");
        var result = await host.SshAsync("touch", files.File("x"));
        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("exec \"touch\" is not in commands", result.Stderr, StringComparison.Ordinal);
        Assert.False(File.Exists(files.File("x")));
        Assert.Equal(0, (await host.SshAsync("id")).ExitCode);
    }

    // L22: one question per channel or request, whatever its kind, and no way around it.
    [Fact]
    public async Task Each_kind_is_decided_exactly_once()
    {
        await using var host = await GatewayHost.StartAsync();
        host.Silo.Authorize = _ => new AuthorizeResponse(false, Guid.NewGuid(), "no");
        await using var user = await host.ConnectAsync();
        (string Request, byte[] Payload, string Action)[] requests =
        [
            ("shell", [], "shell"),
            ("exec", Payload("id"), "exec"),
            ("subsystem", Payload("sftp"), "sftp"),
            ("subsystem", Payload("netconf"), "subsystem"),
            ("auth-agent-req@openssh.com", [], "agent_forwarding"),
        ];
        foreach (var (request, payload, action) in requests)
        {
            var before = host.Silo.Asked.Count;
            var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
            Assert.False(await channel.SendRequestAsync(request, true, payload, GatewayHost.Deadline));
            Assert.Equal([action], host.Silo.Asked.Skip(before).Select(a => a.Action));
            await channel.DisposeAsync();
        }

        var asked = host.Silo.Asked.Count;
        var refused = await Assert.ThrowsAsync<SshChannelOpenException>(async () =>
            await user.OpenChannelAsync("direct-tcpip", Payload("10.0.0.1", 80u, "127.0.0.1", 1u), GatewayHost.Deadline));
        Assert.Equal((SshChannelOpenReason.AdministrativelyProhibited, asked + 1), (refused.Reason, host.Silo.Asked.Count));

        // What no policy can allow is not asked for; it is recorded as denied, once.
        (string Type, byte[] Data)[] unsupported =
        [
            ("x11", Payload("127.0.0.1", 1u)),
            ("forwarded-tcpip", Payload("a", 1u, "b", 2u)),
            ("direct-streamlocal@openssh.com", Payload("/var/run/docker.sock", "", 0u)),
            ("tun@openssh.com", Payload(1u, 0u)),
            ("auth-agent@openssh.com", []),
            ("made-up@example.com", []),
        ];
        foreach (var (type, data) in unsupported)
        {
            refused = await Assert.ThrowsAsync<SshChannelOpenException>(async () => await user.OpenChannelAsync(type, data, GatewayHost.Deadline));
            Assert.Contains(type, refused.Description, StringComparison.Ordinal);
        }

        foreach (var type in new[] { "tcpip-forward", "streamlocal-forward@openssh.com" })
        {
            Assert.False((await user.SendGlobalRequestAsync(type, true, Payload("", 8080u), GatewayHost.Deadline)).Success);
        }

        Assert.Equal(asked + 1, host.Silo.Asked.Count);
        await user.DisposeAsync();
        await host.EndOfAsync(host.LastSession);
        Assert.Equal(
            unsupported.Select(u => u.Type).Append("tcpip-forward").Append("streamlocal-forward@openssh.com").Order(StringComparer.Ordinal),
            host.Silo.Events.Where(e => e.Status == "denied").Select(e => e.Type).Order(StringComparer.Ordinal));
        Assert.DoesNotContain("Starting session", host.Sshd!.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_was_allowed_is_given_back_when_it_is_over()
    {
        await using var host = await GatewayHost.StartAsync();
        var allowed = new System.Collections.Concurrent.ConcurrentQueue<AuthorizeResponse>();
        host.Silo.Authorize = _ =>
        {
            var answer = new AuthorizeResponse(true, Guid.NewGuid(), null);
            allowed.Enqueue(answer);
            return answer;
        };
        await using var user = await host.ConnectAsync();
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        Assert.True(await channel.SendRequestAsync("auth-agent-req@openssh.com", true, default, GatewayHost.Deadline));
        Assert.True(await channel.SendRequestAsync("exec", true, Payload("true"), GatewayHost.Deadline));
        var subsystem = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        Assert.False(await subsystem.SendRequestAsync("subsystem", true, Payload("unknown-to-sshd"), GatewayHost.Deadline));
        await Assert.ThrowsAsync<SshChannelOpenException>(async () => await user.OpenChannelAsync("direct-tcpip", Payload("127.0.0.1", 1u, "127.0.0.1", 1u), GatewayHost.Deadline));
        while ((await channel.ReadAsync(GatewayHost.Deadline)).Kind != SshChannelEventKind.Closed)
        {
        }

        await GatewayHost.UntilAsync(() => host.Silo.Events.Count(e => e.Metadata.ContainsKey("decision_id")) == 4);
        Assert.Equal(
            allowed.Select(a => a.DecisionId.ToString()).Order(StringComparer.Ordinal),
            host.Silo.Events.Where(e => e.Status is "done" or "failed").Select(e => e.Metadata["decision_id"]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task After_no_more_sessions_none_is_opened()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var user = await host.ConnectAsync();
        Assert.True((await user.SendGlobalRequestAsync("no-more-sessions@openssh.com", true, default, GatewayHost.Deadline)).Success);
        await Assert.ThrowsAsync<SshChannelOpenException>(async () => await user.OpenChannelAsync("session", default, GatewayHost.Deadline));
    }

    [Fact]
    public async Task Several_channels_of_one_connection_run_side_by_side()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var user = await host.ConnectAsync();
        var outputs = await Task.WhenAll(Enumerable.Range(0, 10).Select(async i =>
        {
            var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
            await channel.SendRequestAsync("exec", true, Payload($"sleep 0.2; echo {i}"), GatewayHost.Deadline);
            var output = new StringBuilder();
            await ReadUntilAsync(channel, output, "\n");
            return output.ToString();
        }));
        Assert.Equal(Enumerable.Range(0, 10).Select(i => $"{i}\n"), outputs);
        Assert.Single(host.Sessions);
    }

    // Warpgate #1459: agent channels that wait for each other.
    [Fact]
    public async Task Fifty_agent_channels_at_once_all_get_their_answers()
    {
        var answered = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var target = new ScriptedTarget(async channel =>
        {
            SshChannelEvent read;
            while ((read = await channel.ReadAsync()).RequestType != "shell")
            {
                Assert.NotEqual(SshChannelEventKind.Closed, read.Kind);
            }

            await channel.ReplyAsync(true);
            var answers = await Task.WhenAll(Enumerable.Range(0, 50).Select(async i =>
            {
                var agent = await channel.Connection.OpenChannelAsync("auth-agent@openssh.com", default, GatewayHost.Deadline);
                await agent.WriteAsync(Encoding.ASCII.GetBytes($"question {i}\n"));
                var answer = new StringBuilder();
                await ReadUntilAsync(agent, answer, "\n");
                await agent.CloseAsync();
                return answer.ToString() == $"answer to question {i}\n";
            }));
            answered.SetResult(answers.Count(a => a));
        });
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        host.Silo.Target = target.Address;
        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { HostKeys = [target.HostKeyLine] } };
        await using var user = await host.ConnectAsync();
        var serving = Task.Run(async () =>
        {
            await foreach (var incoming in user.IncomingAsync(GatewayHost.Deadline))
            {
                if (incoming is SshChannelOpen { ChannelType: "auth-agent@openssh.com" } open)
                {
                    _ = AnswerAsync(await open.AcceptAsync());
                }
            }
        }, GatewayHost.Deadline);
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        Assert.True(await channel.SendRequestAsync("auth-agent-req@openssh.com", true, default, GatewayHost.Deadline));
        Assert.True(await channel.SendRequestAsync("shell", true, default, GatewayHost.Deadline));
        Assert.Equal(50, await answered.Task.WaitAsync(GatewayHost.Deadline));
        await user.DisposeAsync();
        await serving;

        static async Task AnswerAsync(SshChannel agent)
        {
            var question = new StringBuilder();
            await ReadUntilAsync(agent, question, "\n");
            await agent.WriteAsync(Encoding.ASCII.GetBytes($"answer to {question}"), GatewayHost.Deadline);
        }
    }

    // A target may open an agent channel only while a channel that was allowed to forward the agent is open.
    [Fact]
    public async Task A_target_that_asks_for_the_agent_uninvited_is_refused()
    {
        var refused = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var target = new ScriptedTarget(async channel =>
        {
            while ((await channel.ReadAsync()).RequestType != "shell")
            {
            }

            await channel.ReplyAsync(true);
            foreach (var type in new[] { "auth-agent@openssh.com", "forwarded-tcpip", "x11", "session" })
            {
                try
                {
                    await channel.Connection.OpenChannelAsync(type, default, GatewayHost.Deadline);
                    refused.SetResult(false);
                    return;
                }
                catch (SshChannelOpenException)
                {
                }
            }

            refused.SetResult(true);
        });
        await using var host = await GatewayHost.StartAsync(withSshd: false);
        host.Silo.Target = target.Address;
        host.Silo.Open = _ => host.Allow() with { Upstream = host.Upstream() with { HostKeys = [target.HostKeyLine] } };
        await using var user = await host.ConnectAsync();
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        Assert.True(await channel.SendRequestAsync("shell", true, default, GatewayHost.Deadline));
        Assert.True(await refused.Task.WaitAsync(GatewayHost.Deadline));
    }

    // Warpgate #2065: data right behind the request, before its answer, belongs to the command.
    [Fact]
    public async Task Data_sent_together_with_the_command_is_not_lost()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var user = await host.ConnectAsync();
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        await channel.SendRequestAsync("exec", false, Payload("cat"), GatewayHost.Deadline);
        await channel.WriteAsync("early"u8.ToArray(), GatewayHost.Deadline);
        await channel.SendEofAsync(GatewayHost.Deadline);
        var output = new StringBuilder();
        await ReadUntilAsync(channel, output, "early");
    }

    private static string Quoted(IEnumerable<string> options) => string.Join(' ', options.Select(o => $"'{o}'"));

    private static async Task ReadUntilAsync(SshChannel channel, StringBuilder output, string text)
    {
        while (!output.ToString().Contains(text, StringComparison.Ordinal))
        {
            var read = await channel.ReadAsync(GatewayHost.Deadline);
            Assert.True(read.Kind != SshChannelEventKind.Closed, $"closed after: {output}");
            if (read.Kind is SshChannelEventKind.Data or SshChannelEventKind.ExtendedData)
            {
                output.Append(Encoding.UTF8.GetString(read.Data.Span));
            }
        }
    }

    /// <summary>Strings and uint32 fields of a request.</summary>
    private static byte[] Payload(params object[] fields)
    {
        using var writer = new SshWriter();
        foreach (var field in fields)
        {
            if (field is uint number)
            {
                writer.WriteUInt32(number);
            }
            else
            {
                writer.WriteString((string)field);
            }
        }

        return writer.ToArray();
    }
}
