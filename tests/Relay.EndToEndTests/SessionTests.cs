using System.Diagnostics;
using System.Text.Json;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Every session leaves a row that says everything, and a recording of what was seen.</summary>
public sealed class SessionTests(OneSilo site)
{
    [Fact]
    public async Task The_row_says_who_what_from_where_through_whom_why_and_how_it_ended()
    {
        await site.CreateSocketAsync("rows");
        await site.AllowAsync("rows", OneSilo.EverythingForTheAdministrator);
        Assert.Equal(0, (await site.Grid.SshAsync("rows.relay", "echo row")).ExitCode);
        var session = await site.EndedSessionAsync("rows");
        string Text(string name) => session.GetProperty(name).GetString()!;
        Assert.Equal("admin@relay.local", Text("user_email"));
        Assert.Equal("rows", Text("socket_name"));
        Assert.Equal(Environment.UserName, Text("ssh_user"));
        Assert.Equal("127.0.0.1", Text("client_ip"));
        Assert.Equal("allowed", Text("authorization"));
        Assert.Equal("allow-rows", Text("policy_name"));
        Assert.Equal("site", Text("connector_name"));
        Assert.Equal("gateway-0", Text("gateway"));
        Assert.StartsWith("SSH-2.0-OpenSSH", Text("client_version"), StringComparison.Ordinal);
        Assert.NotEqual("", Text("outcome"));
        Assert.True(session.GetProperty("bytes_down").GetInt64() > 0);
        Assert.Contains(session.GetProperty("events").EnumerateArray(), e => e.GetProperty("type").GetString() == "exec" && e.ToString().Contains("echo row", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_recording_shows_the_output_and_the_command()
    {
        await site.CreateSocketAsync("recorded");
        await site.AllowAsync("recorded", OneSilo.EverythingForTheAdministrator);
        Assert.Equal(0, (await site.Grid.SshAsync("recorded.relay", "printf 'grüße %s\\n' from-the-target", null, "-tt")).ExitCode);
        var session = await site.RecordedSessionAsync("recorded");
        var id = session.GetProperty("session_id").GetString()!;
        Assert.Contains("grüße from-the-target", await site.Grid.RelayAsync("session", "replay", id, "--speed", "1000"), StringComparison.Ordinal);
        var raw = await site.Grid.RelayAsync("session", "replay", id, "--raw");
        using var header = JsonDocument.Parse(raw.Split('\n')[0]);
        Assert.Equal(2, header.RootElement.GetProperty("version").GetInt32());
        Assert.Contains("printf", raw, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Input_is_recorded_when_the_policy_says_so()
    {
        await site.CreateSocketAsync("input");
        await site.AllowAsync("input", """
            {"version":"v2","permissions":{"ssh":{"shell":{},"exec":{},"recording":{"input":true}}},"condition":{"who":{"email":["admin@relay.local"]}}}
            """);
        Assert.Equal(0, (await site.Grid.SshAsync("input.relay", "read line; echo got $line", "typed-words\n"u8.ToArray(), "-tt")).ExitCode);
        var id = (await site.RecordedSessionAsync("input")).GetProperty("session_id").GetString()!;
        var raw = await site.Grid.RelayAsync("session", "replay", id, "--raw");
        Assert.Contains(raw.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1), line => line.Contains("\"i\"", StringComparison.Ordinal) && line.Contains("typed", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Kill_ends_a_live_session_at_once_and_says_who_did_it()
    {
        await site.CreateSocketAsync("killed");
        await site.AllowAsync("killed", OneSilo.EverythingForTheAdministrator);
        await using var live = await LiveSession.StartAsync(site.Grid, "killed.relay");
        var id = (await site.LastSessionAsync("killed")).GetProperty("session_id").GetString()!;
        await site.Grid.RelayAsync("session", "kill", id);
        Assert.Equal(255, await live.Process.WaitForExitAsync(TimeSpan.FromSeconds(60)));
        var session = await site.RecordedSessionAsync("killed");
        Assert.True(session.GetProperty("killed").GetBoolean());
        Assert.Contains("admin@relay.local", session.GetProperty("killed_by").GetString()!, StringComparison.Ordinal);
    }

    // Through the ProxyCommand, which ssh sends SIGHUP in the breath of its own goodbye.
    [Theory]
    [InlineData("true", 0, "closed by user")]
    [InlineData("exit 3", 0, "closed by user")]
    [InlineData("echo live; exec sleep 300", 2, "closed by user")]
    [InlineData("echo live; exec sleep 300", 15, "closed by user")]
    [InlineData("echo live; exec sleep 300", 9, "connection lost")]
    public async Task An_orderly_end_is_told_from_a_lost_connection(string command, int signal, string outcome)
    {
        if (!(await site.Grid.RelayAsync("client", "hosts")).Contains("outcomes", StringComparison.Ordinal))
        {
            await site.CreateSocketAsync("outcomes");
            await site.AllowAsync("outcomes", OneSilo.EverythingForTheAdministrator);
        }

        var before = signal == 0 ? null : await LiveSession.StartAsync(site.Grid, "outcomes.relay");
        if (before is null)
        {
            await site.Grid.SshAsync("outcomes.relay", command);
        }
        else
        {
            await using (before)
            {
                before.Process.Signal(signal);
                await before.Process.WaitForExitAsync();
            }
        }

        Assert.Equal(outcome, (await site.RecordedSessionAsync("outcomes")).GetProperty("outcome").GetString());
    }

    [Fact]
    public async Task A_killed_gateway_loses_nothing_of_the_recording_that_its_silo_has()
    {
        await using var gateway = await site.Grid.StartGatewayAsync("gateway-doomed", site.Grid.Silos[0]);
        await site.CreateSocketAsync("doomed");
        await site.AllowAsync("doomed", OneSilo.EverythingForTheAdministrator);
        var (host, port) = (gateway.SshAddress.Split(':')[0], gateway.SshAddress.Split(':')[1]);
        await site.Grid.SshConfigAsync();
        var ssh = Path.Combine(site.Grid.Home, "ssh");
        await using var client = RunningProcess.Start("ssh doomed", "ssh",
            ["-F", "none", "-tt", "-o", "BatchMode=yes", "-o", $"UserKnownHostsFile={ssh}/known_hosts", "-o", "HostKeyAlias=relay-gateway", "-i", $"{ssh}/id_ed25519",
                "-p", port, $"doomed@{host}", "echo before-the-crash; exec sleep 300"]);
        await client.WaitForLineAsync("before-the-crash");
        var id = (await site.LastSessionAsync("doomed")).GetProperty("session_id").GetString()!;
        // It can be seen while the session goes on, a second later.
        await Eventually.TrueAsync(async () => (await site.Grid.CliAsync("session", "replay", id, "--raw")).Text.Contains("before-the-crash", StringComparison.Ordinal), "the silo has it");
        gateway.Process.Signal(9);
        await client.WaitForExitAsync();
        Assert.Contains("before-the-crash", await site.Grid.RelayAsync("session", "replay", id, "--raw"), StringComparison.Ordinal);
    }
}
