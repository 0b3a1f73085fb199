using System.Text.Json;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>What a policy allows works, the rest is refused with a reason the user sees and the audit trail knows.</summary>
public sealed class PolicyTests(OneSilo site)
{
    [Fact]
    public async Task Without_a_policy_the_user_is_told_why_and_the_decision_is_on_record()
    {
        await site.CreateSocketAsync("closed");
        var result = await site.Grid.SshAsync("closed.relay", "true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("denied", result.Stderr, StringComparison.OrdinalIgnoreCase);
        var session = await site.EndedSessionAsync("closed");
        Assert.Equal("denied", session.GetProperty("authorization").GetString());
        var decision = session.GetProperty("decision_id").GetString()!;
        Assert.Contains(decision, result.Stderr, StringComparison.Ordinal);
        var audit = await site.Grid.RelayAsync("audit", "ls", "--output", "json");
        Assert.Contains(decision, audit, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_socket_that_does_not_exist_is_refused_like_a_forbidden_one()
    {
        var result = await site.Grid.SshAsync("no-such-socket.relay", "true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("denied", result.Stderr, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task Exec_only_means_exec_only_and_only_the_named_commands()
    {
        await site.CreateSocketAsync("exec-only");
        await site.AllowAsync("exec-only", """
            {"version":"v2","permissions":{"ssh":{"exec":{"commands":["uptime","echo *"]}}},"condition":{"who":{"email":["admin@relay.local"]}}}
            """);
        Assert.Equal("yes\n", (await site.Grid.SshAsync("exec-only.relay", "echo yes")).Text);
        Assert.Equal(0, (await site.Grid.SshAsync("exec-only.relay", "uptime")).ExitCode);
        foreach (var command in new[] { "id", "echo yes; id", "echo $(id)", "uptime && id", "echo `id`", "echo a | id", "echo a\nid" })
        {
            var refused = await site.Grid.SshAsync("exec-only.relay", command);
            Assert.True(refused.ExitCode != 0, $"'{command}' ran: {refused}");
            Assert.DoesNotContain("uid=", refused.Text, StringComparison.Ordinal);
        }
        var shell = await site.Grid.SshAsync("exec-only.relay", "", "id\n"u8.ToArray(), "-T");
        Assert.NotEqual(0, shell.ExitCode);
        Assert.DoesNotContain("uid=", shell.Text, StringComparison.Ordinal);
        var sftp = await Command.RunAsync("sftp", ["-F", await site.Grid.SshConfigAsync(), "-b", "/dev/null", "exec-only.relay"], site.Grid.CliEnvironment(site.Grid.Silos[0]));
        Assert.NotEqual(0, sftp.ExitCode);
        var agent = await site.Grid.SshAsync("exec-only.relay", "echo agent:$SSH_AUTH_SOCK", null, "-A");
        Assert.DoesNotContain("agent:/", agent.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Forwarding_reaches_only_the_named_destinations()
    {
        await using var echo = TcpService.Echo();
        await site.CreateSocketAsync("forward");
        await site.AllowAsync("forward", """
            {"version":"v2","permissions":{"ssh":{"tcp_forwarding":{"allowed_connections":[{"destination_address":"127.0.0.1","destination_port":PORT}]}}},
             "condition":{"who":{"email":["admin@relay.local"]}}}
            """.Replace("PORT", $"{echo.Port}", StringComparison.Ordinal));
        var allowed = await ForwardAsync("forward.relay", $"127.0.0.1:{echo.Port}", "hello");
        Assert.True(allowed.Text == "hello", allowed.ToString());
        var refused = await ForwardAsync("forward.relay", $"127.0.0.1:{site.Target.Port}", "");
        Assert.NotEqual(0, refused.ExitCode);
        Assert.DoesNotContain("SSH-2.0", refused.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ProxyJump_through_a_socket_reaches_the_next_host()
    {
        var config = await site.Grid.SshConfigAsync();
        var key = Path.Combine(site.Grid.Home, "ssh", "id_ed25519");
        await using var inner = await TargetSshd.StartAsync(await site.Grid.RelayAsync("org", "ssh-ca"), await File.ReadAllTextAsync(key + "-cert.pub"), await PublicKeyAsync(key));
        var result = await Command.RunAsync("ssh",
            ["-F", config, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i", key,
                "-J", "db-host.relay", "-p", $"{inner.Port}", $"{Environment.UserName}@127.0.0.1", "echo through"],
            site.Grid.CliEnvironment(site.Grid.Silos[0]));
        Assert.True(result.Text == "through\n", result.ToString());
    }

    [Fact]
    public async Task Agent_forwarding_works_where_it_is_granted()
    {
        var key = Path.Combine(site.Grid.Folder, "agent-key");
        Assert.Equal(0, (await Command.RunAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "in-the-agent", "-f", key])).ExitCode);
        var script = $"ssh-add -q {key} && ssh -A -o BatchMode=yes -F {await site.Grid.SshConfigAsync()} db-host.relay 'ssh-add -l'";
        var result = await Command.RunAsync("ssh-agent", ["sh", "-c", script], site.Grid.CliEnvironment(site.Grid.Silos[0]));
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("in-the-agent", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Taking_the_policy_away_ends_the_live_session_and_the_next_one_is_refused()
    {
        await site.CreateSocketAsync("revoked");
        await site.AllowAsync("revoked", OneSilo.EverythingForTheAdministrator);
        await using var live = await LiveSession.StartAsync(site.Grid, "revoked.relay");
        await site.Grid.RelayAsync("policy", "detach", "--name", "allow-revoked", "--socket", "revoked");
        Assert.NotEqual(0, await live.Process.WaitForExitAsync(TimeSpan.FromSeconds(60)));
        Assert.NotEqual(0, (await site.Grid.SshAsync("revoked.relay", "true")).ExitCode);
        var sessions = await site.Grid.RelayJsonAsync("session", "ls", "--socket", "revoked");
        Assert.Contains(sessions.GetProperty("list").EnumerateArray(), s => s.GetProperty("outcome").GetString()!.Contains("no longer", StringComparison.OrdinalIgnoreCase)
            || s.GetProperty("outcome").GetString()!.Contains("policy", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task Every_mistake_of_a_policy_is_named_at_once()
    {
        var file = Path.Combine(site.Grid.Folder, "bad.json");
        await File.WriteAllTextAsync(file, """{"version":"v2","permissions":{"ssh":{"shel":{}}},"condition":{"who":{"email":"me"},"where":{"allowed_ip":["300.1.1.1/8"]}}}""");
        var result = await site.Grid.CliAsync("policy", "create", "--name", "bad", "--file", file);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("permissions.ssh.shel", result.Stderr, StringComparison.Ordinal);
        Assert.Contains("condition.who.email", result.Stderr, StringComparison.Ordinal);
        Assert.Contains("condition.where.allowed_ip[0]", result.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Policy_test_says_what_would_happen_and_exits_4_when_denied()
    {
        var passed = await site.Grid.CliAsync("policy", "test", "--name", "allow-db-host", "--email", "admin@relay.local", "--ip", "10.1.2.3", "--socket", "db-host");
        Assert.True(passed.ExitCode == 0, passed.ToString());
        Assert.Contains("✅ Policy Passed!", passed.Text, StringComparison.Ordinal);
        var failed = await site.Grid.CliAsync("policy", "test", "--name", "allow-db-host", "--email", "stranger@example.org", "--socket", "db-host");
        Assert.True(failed.ExitCode == 4, failed.ToString());
        Assert.Contains("⛔ Policy Failed", failed.Text, StringComparison.Ordinal);
    }

    private async Task<CommandResult> ForwardAsync(string host, string destination, string text) =>
        await Command.RunAsync("ssh", ["-F", await site.Grid.SshConfigAsync(), "-o", "BatchMode=yes", "-W", destination, host],
            site.Grid.CliEnvironment(site.Grid.Silos[0]), System.Text.Encoding.ASCII.GetBytes(text));

    private static async Task<string> PublicKeyAsync(string key) => (await Command.RunAsync("ssh-keygen", ["-y", "-f", key])).Text;
}
