using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>The ways the gateway logs in to a target, and the ways that can fail.</summary>
public sealed class UpstreamTests(OneSilo site)
{
    [Fact]
    public async Task A_stored_private_key_logs_in()
    {
        var key = Path.Combine(site.Grid.Folder, "stored-key");
        Assert.Equal(0, (await Command.RunAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key])).ExitCode);
        await using var target = await TargetSshd.StartAsync(await site.Grid.RelayAsync("org", "ssh-ca"), await File.ReadAllTextAsync(key + ".pub"));
        await site.Grid.RelayAsync("socket", "create", "ssh", "--name", "by-key", "--connector", "site", "--host", "127.0.0.1", "--port", $"{target.Port}",
            "--username", Environment.UserName, "--host-key", target.HostKey(), "--private-key-file", key);
        await site.AllowAsync("by-key", OneSilo.EverythingForTheAdministrator);
        var result = await site.Grid.SshAsync("by-key.relay", "echo by key");
        Assert.True(result.Text == "by key\n", $"{result}\n{target.Log}");
        var shown = await site.Grid.RelayAsync("socket", "show", "by-key", "--output", "json");
        Assert.DoesNotContain("PRIVATE KEY", shown, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("by-password", "PasswordAuthentication yes")]
    [InlineData("by-dialogue", "KbdInteractiveAuthentication yes", "UsePAM yes")]
    public async Task A_stored_password_logs_in_and_is_seen_nowhere(string socket, params string[] sshd)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "An account with a password needs root.");
        await using var account = await PasswordAccount.CreateAsync();
        await using var target = await SshdServer.StartAsync(sshd);
        await CreateWithPasswordAsync(socket, target, account.Name, account.Password);
        var result = await site.Grid.SshAsync($"{socket}.relay", "id -un");
        Assert.True(result.Text == $"{account.Name}\n", $"{result}\n{target.Log}");
        var session = await site.RecordedSessionAsync(socket);

        // Whoever reads everything there is to read, on any surface, does not find it.
        string[] seen =
        [
            await site.Grid.RelayAsync("socket", "show", socket, "--output", "json"),
            await site.Grid.RelayAsync("audit", "ls", "--output", "json"),
            session.ToString(),
            await site.Grid.RelayAsync("session", "replay", session.GetProperty("session_id").GetString()!, "--raw"),
            await site.Grid.DumpAsync(),
            site.Grid.AllOutput(),
            result.ToString(),
        ];
        Assert.All(seen, text => Assert.DoesNotContain(account.Password, text, StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task A_wrong_stored_password_is_named_as_such_and_not_shown()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "An account with a password needs root.");
        await using var account = await PasswordAccount.CreateAsync();
        await using var target = await SshdServer.StartAsync(["PasswordAuthentication yes"]);
        await CreateWithPasswordAsync("by-old-password", target, account.Name, "the-old-password");
        var result = await site.Grid.SshAsync("by-old-password.relay", "true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains($"127.0.0.1:{target.Port} refused the stored password for user \"{account.Name}\"", result.Stderr, StringComparison.Ordinal);
        var session = await site.EndedSessionAsync("by-old-password");
        Assert.Contains("refused the stored password", session.GetProperty("outcome").GetString()!, StringComparison.Ordinal);
        Assert.DoesNotContain("the-old-password", result + session.ToString() + site.Grid.AllOutput(), StringComparison.Ordinal);
    }

    private async Task CreateWithPasswordAsync(string socket, SshdServer target, string user, string password)
    {
        var file = Path.Combine(site.Grid.Folder, socket + ".password");
        await File.WriteAllTextAsync(file, password + "\n");
        await site.Grid.RelayAsync("socket", "create", "ssh", "--name", socket, "--connector", "site", "--host", "127.0.0.1", "--port", $"{target.Port}",
            "--username", user, "--host-key", target.HostKey(), "--password-file", file);
        await site.AllowAsync(socket, OneSilo.EverythingForTheAdministrator);
    }

    [Fact]
    public async Task The_first_administrator_pins_the_host_key_and_a_changed_one_is_refused()
    {
        await site.Grid.RelayAsync("socket", "create", "ssh", "--name", "pinned", "--connector", "site", "--host", "127.0.0.1", "--port", $"{site.Target.Port}", "--username", Environment.UserName);
        await site.AllowAsync("pinned", OneSilo.EverythingForTheAdministrator);
        Assert.Equal(0, (await site.Grid.SshAsync("pinned.relay", "true")).ExitCode);
        var keys = (await site.Grid.RelayJsonAsync("socket", "show", "pinned")).GetProperty("host_keys");
        Assert.Contains(site.Target.HostKey(), keys[0].GetString()!, StringComparison.Ordinal);

        await using var impostor = await TargetSshd.StartAsync(await site.Grid.RelayAsync("org", "ssh-ca"));
        await site.Grid.RelayAsync("socket", "update", "pinned", "--port", $"{impostor.Port}");
        var refused = await site.Grid.SshAsync("pinned.relay", "true");
        Assert.Equal(255, refused.ExitCode);
        Assert.Contains("host key", refused.Stderr, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_target_that_is_down_is_named_as_such()
    {
        await site.Grid.RelayAsync("socket", "create", "ssh", "--name", "down", "--connector", "site", "--host", "127.0.0.1", "--port", "1", "--username", Environment.UserName, "--host-key", site.Target.HostKey());
        await site.AllowAsync("down", OneSilo.EverythingForTheAdministrator);
        var result = await site.Grid.SshAsync("down.relay", "true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("refused", result.Stderr, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("127.0.0.1:1", result.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_offline_connector_is_named_as_such()
    {
        await site.Grid.RelayAsync("connector", "create", "--name", "asleep");
        await site.Grid.RelayAsync("socket", "create", "ssh", "--name", "offline", "--connector", "asleep", "--host", "127.0.0.1", "--port", "22", "--username", "root", "--host-key", site.Target.HostKey());
        await site.AllowAsync("offline", OneSilo.EverythingForTheAdministrator);
        var result = await site.Grid.SshAsync("offline.relay", "true");
        Assert.Equal(255, result.ExitCode);
        Assert.Contains("connector", result.Stderr, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task The_built_in_service_gives_a_shell_with_a_pty_and_copies_files()
    {
        await site.Grid.RelayAsync("socket", "create", "ssh", "--name", "built-in", "--connector", "site", "--upstream-type", "connector_built_in_ssh_service");
        await site.AllowAsync("built-in", OneSilo.EverythingForTheAdministrator);
        var exec = await site.Grid.SshAsync("built-in.relay", "id -un; exit 9");
        Assert.True(exec.ExitCode == 9, exec.ToString());
        Assert.Equal(Environment.UserName, exec.Text.Trim());
        var pty = await site.Grid.SshAsync("built-in.relay", "tty; stty size", null, "-tt");
        Assert.Contains("/dev/pts/", pty.Text, StringComparison.Ordinal);
        var data = new byte[3_000_000];
        new Random(3).NextBytes(data);
        var piped = await site.Grid.SshAsync("built-in.relay", "cat", data);
        Assert.Equal(data, piped.Stdout);
        var from = Path.Combine(site.Grid.Folder, "built-in-from");
        var to = Path.Combine(site.Grid.Folder, "built-in-to");
        await File.WriteAllBytesAsync(from, data);
        var scp = await Command.RunAsync("scp", ["-q", "-F", await site.Grid.SshConfigAsync(), from, $"built-in.relay:{to}"], site.Grid.CliEnvironment(site.Grid.Silos[0]));
        Assert.True(scp.ExitCode == 0, scp.ToString());
        Assert.Equal(data, await File.ReadAllBytesAsync(to));
    }

    [Fact]
    public async Task A_registered_key_logs_in_without_the_cli()
    {
        var key = Path.Combine(site.Grid.Folder, "registered");
        Assert.Equal(0, (await Command.RunAsync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key])).ExitCode);
        var before = await site.DirectAsync("db-host", "echo by registered key", key);
        Assert.Equal(255, before.ExitCode);
        await site.Grid.RelayAsync("key", "add", key + ".pub", "--name", "laptop");
        var after = await site.DirectAsync("db-host", "echo by registered key", key);
        Assert.True(after.Text == "by registered key\n", after.ToString());
    }
}
