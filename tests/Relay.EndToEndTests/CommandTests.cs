using System.Text;

namespace Relay.EndToEndTests;

/// <summary>Commands over the stock ssh client: bytes, ends and statuses come through exactly.</summary>
public sealed class CommandTests(OneSilo site)
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(254)]
    [InlineData(255)]
    public async Task Exec_exit_status_is_the_commands_own(int status)
    {
        var result = await site.Grid.SshAsync("db-host.relay", $"exit {status}");
        Assert.True(status == result.ExitCode, result.ToString());
    }

    [Fact]
    public async Task Exec_killed_by_a_signal_is_reported_as_that()
    {
        var result = await site.Grid.SshAsync("db-host.relay", "kill -TERM $$");
        // OpenSSH answers 255 when the peer sends exit-signal instead of exit-status.
        Assert.True(result.ExitCode == 255, result.ToString());
    }

    [Fact]
    public async Task Exec_stdout_and_stderr_stay_apart()
    {
        var result = await site.Grid.SshAsync("db-host.relay", "echo to-stdout; echo to-stderr >&2");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Equal("to-stdout\n", result.Text);
        Assert.Contains("to-stderr", result.Stderr, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Exec_sees_the_end_of_stdin_and_answers_after_it()
    {
        var input = new byte[1_000_000];
        new Random(1).NextBytes(input);
        var result = await site.Grid.SshAsync("db-host.relay", "wc -c", input);
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Equal("1000000", result.Text.Trim());
    }

    // The half-close matrix: who ends first, and how much comes after it.
    [Theory]
    [InlineData("cat > /dev/null; head -c 1000000 /dev/zero", 200_000, 1_000_000)] // user ends, target answers after it
    [InlineData("exec <&-; head -c 1000000 /dev/zero", 0, 1_000_000)]                // target stops reading at once
    [InlineData("head -c 1000000 /dev/zero; exec >&- 2>&-; cat > /dev/null", 200_000, 1_000_000)] // target's output ends first
    [InlineData("cat", 1_000_000, 1_000_000)]                                        // both at once
    public async Task Each_direction_ends_alone(string command, int up, int down)
    {
        var result = await site.Grid.SshAsync("db-host.relay", command, new byte[up]);
        Assert.True(result.ExitCode == 0, $"exit {result.ExitCode} {result.Stderr}");
        Assert.Equal(down, result.Stdout.Length);
    }

    [Fact]
    public async Task Exec_without_stdin_does_not_wait_for_it()
    {
        var result = await site.Grid.SshAsync("db-host.relay", "echo done", null, "-n");
        Assert.Equal("done\n", result.Text);
    }

    [Fact]
    public async Task Shell_reads_commands_from_stdin()
    {
        var result = await site.Grid.SshAsync("db-host.relay", "", Encoding.ASCII.GetBytes("echo from-the-shell\nexit 3\n"), "-T");
        Assert.True(result.ExitCode == 3, result.ToString());
        Assert.Contains("from-the-shell", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pty_has_the_terminal_type_and_a_real_tty()
    {
        var result = await site.Grid.SshAsync("db-host.relay", "tty && echo $TERM", null, "-tt");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("/dev/pts/", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Environment_passes_the_list_and_nothing_else()
    {
        // L20: LD_*, GLIBC_TUNABLES and the like never reach the target, whatever its sshd would accept.
        var result = await site.Grid.SshAsync("db-host.relay", "env", null,
            "-o", "SetEnv=LC_RELAY_TEST=kept LD_RELAY_TEST=dropped GLIBC_TUNABLES=glibc.malloc.check=3");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("LC_RELAY_TEST=kept", result.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("LD_RELAY_TEST", result.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("GLIBC_TUNABLES", result.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Login_name_with_the_socket_works_without_the_proxy_command()
    {
        var result = await site.DirectAsync($"{Environment.UserName}@db-host", "id -un");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Equal(Environment.UserName, result.Text.Trim());
    }

    [Fact]
    public async Task A_hundred_sessions_at_once_all_work()
    {
        var results = await Task.WhenAll(Enumerable.Range(0, 100).Select(async i =>
            (Number: i, Result: await site.DirectAsync("db-host", $"echo session {i}; exit {i % 100}"))));
        Assert.All(results, r =>
        {
            Assert.True(r.Result.ExitCode == r.Number % 100, $"session {r.Number}: {r.Result}");
            Assert.Equal($"session {r.Number}\n", r.Result.Text);
        });

        var few = await site.Grid.CliAsync("session", "ls", "--limit", "3");
        Assert.Matches(@"^3 of \d{3,} are shown\.\n$", few.Stderr);
    }

    [Fact]
    public async Task Several_commands_share_one_connection()
    {
        var control = Path.Combine(site.Grid.Folder, "mux");
        string[] share = ["-o", "ControlMaster=auto", "-o", $"ControlPath={control}", "-o", "ControlPersist=30"];
        var first = await site.Grid.SshAsync("db-host.relay", "echo one", null, [.. share, "-f", "-N"]);
        Assert.True(first.ExitCode == 0, first.ToString());
        var results = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => site.Grid.SshAsync("db-host.relay", $"echo {i}", null, share)));
        Assert.Equal(Enumerable.Range(0, 8).Select(i => $"{i}\n"), results.Select(r => r.Text));
        await site.Grid.SshAsync("db-host.relay", "", null, [.. share, "-O", "exit"]);
    }
}
