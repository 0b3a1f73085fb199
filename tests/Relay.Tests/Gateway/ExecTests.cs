using System.Text;

namespace Relay.Tests.Gateway;

/// <summary>The stock ssh client through the gateway to a stock sshd: what a command sees and what comes back.</summary>
public sealed class ExecTests
{
    [Fact]
    public async Task A_command_runs_and_its_output_comes_back()
    {
        await using var host = await GatewayHost.StartAsync();
        var result = await host.SshAsync("echo", "hello");
        Assert.True(result is { ExitCode: 0, Text: "hello\n", Stderr: "" }, $"{result}\n{host.Sshd!.Log}");
        var end = await host.EndOfAsync(host.LastSession);
        Assert.Equal("closed by user", end.Outcome);
        Assert.Equal(6, end.BytesDown);
        Assert.Equal("exec", Assert.Single(host.Silo.Asked).Action);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(42)]
    public async Task Exit_codes_come_back(int code)
    {
        await using var host = await GatewayHost.StartAsync();
        Assert.Equal(code, (await host.SshAsync($"exit {code}")).ExitCode);
        await host.EndOfAsync(host.LastSession);
        Assert.Contains(host.Silo.Events, e => e.Type == "exec" && e.Status == "done" && e.Metadata["exit"] == $"{code}");
    }

    [Fact]
    public async Task Stdout_and_stderr_stay_apart()
    {
        await using var host = await GatewayHost.StartAsync();
        var result = await host.SshAsync("echo out; echo err >&2; echo out2; exit 3");
        Assert.Equal((3, "out\nout2\n", "err\n"), (result.ExitCode, result.Text, result.Stderr));
    }

    [Fact]
    public async Task Standard_input_and_its_end_reach_the_command()
    {
        await using var host = await GatewayHost.StartAsync();
        var input = new byte[3_000_000];
        new Random(1).NextBytes(input);
        var result = await host.SshAsync([], ["cat"], input);
        Assert.Equal(0, result.ExitCode);
        Assert.True(input.AsSpan().SequenceEqual(result.Stdout));
    }

    // Half-close: the user's end must not cut the answer.
    [Fact]
    public async Task Output_after_the_end_of_input_arrives_whole()
    {
        await using var host = await GatewayHost.StartAsync();
        var result = await host.SshAsync([], ["cat >/dev/null; sleep 1; head -c 1000000 /dev/zero; echo done >&2; exit 7"], Encoding.ASCII.GetBytes("in"));
        Assert.Equal((7, 1_000_000, "done\n"), (result.ExitCode, result.Stdout.Length, result.Stderr));
    }

    [Fact]
    public async Task A_command_killed_by_a_signal_says_so()
    {
        await using var host = await GatewayHost.StartAsync();
        var result = await host.SshAsync("kill -TERM $$");
        Assert.Equal(255, result.ExitCode);
        await host.EndOfAsync(host.LastSession);
        Assert.Contains(host.Silo.Events, e => e.Type == "exec" && e.Metadata.GetValueOrDefault("exit") == "SIGTERM");
    }

    [Fact]
    public async Task A_reader_that_leaves_early_ends_the_command()
    {
        await using var host = await GatewayHost.StartAsync();
        var ssh = string.Join(' ', host.ClientOptions().Select(o => $"'{o}'"));
        var result = await Command.RunAsync("bash", ["-c", $"ssh {ssh} 127.0.0.1 yes | head -n 1"], cancellationToken: GatewayHost.Deadline);
        Assert.Equal("y\n", result.Text);
        await host.EndOfAsync(host.LastSession);
    }

    // L20: allowed names arrive, others do not, although this sshd would take them all.
    [Fact]
    public async Task Environment_passes_by_the_allow_list()
    {
        await using var host = await GatewayHost.StartAsync();
        var result = await host.SshAsync(
            ["-o", "SetEnv=LANG=C.UTF-8 LC_TIME=C COLORTERM=truecolor GIT_PROTOCOL=version=2 LD_PRELOAD=/x.so BASH_ENV=/x FOO=bar GLIBC_TUNABLES=x"], ["env"]);
        Assert.Equal(0, result.ExitCode);
        var lines = result.Text.Split('\n');
        Assert.All(["LANG=C.UTF-8", "LC_TIME=C", "COLORTERM=truecolor", "GIT_PROTOCOL=version=2"], l => Assert.Contains(l, lines));
        Assert.DoesNotContain(lines, l => l.StartsWith("LD_", StringComparison.Ordinal) || l.StartsWith("BASH_ENV", StringComparison.Ordinal)
            || l.StartsWith("FOO", StringComparison.Ordinal) || l.StartsWith("GLIBC", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Many_sessions_at_once_do_not_mix()
    {
        await using var host = await GatewayHost.StartAsync();
        var results = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => host.SshAsync($"echo {i}; exit {i}")));
        Assert.Equal(Enumerable.Range(0, 20).Select(i => (i, $"{i}\n")), results.Select(r => (r.ExitCode, r.Text)));
        await GatewayHost.UntilAsync(() => host.Silo.Ends.Count == 20 && host.Gateway.SessionCount == 0);
    }
}
