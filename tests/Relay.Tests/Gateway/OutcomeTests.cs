using System.Net.Sockets;
using Relay.Protocol.Ssh;
using Relay.TestKit.Processes;

namespace Relay.Tests.Gateway;

/// <summary>What stays on record about an end: leaving in order, however briefly it was said, is no lost connection.</summary>
public sealed class OutcomeTests
{
    private const string Closed = "closed by user";
    private const string Lost = "connection lost";

    [Fact]
    public async Task A_command_that_has_exited_was_closed_by_its_user()
    {
        await using var host = await GatewayHost.StartAsync();
        foreach (var command in new[] { "true", "exit 7", "kill -TERM $$" })
        {
            await host.SshAsync(command);
            Assert.Equal(Closed, (await host.EndOfAsync(host.LastSession)).Outcome);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_stream_that_ends_is_lost_only_while_a_channel_is_in_use(bool inUse)
    {
        await using var host = await GatewayHost.StartAsync();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await using var user = await host.ConnectAsync(socket);
        var channel = await RunAsync(user, inUse ? "echo here; exec sleep 600" : "echo here");
        while ((await channel.ReadAsync(GatewayHost.Deadline)).Kind is var kind && kind != (inUse ? SshChannelEventKind.Data : SshChannelEventKind.Closed))
        {
        }

        // As libraries do that leave without a DISCONNECT.
        socket.Shutdown(SocketShutdown.Send);
        Assert.Equal(inUse ? Lost : Closed, (await host.EndOfAsync(host.LastSession)).Outcome);
    }

    [Fact]
    public async Task Ssh_that_is_ended_by_a_signal_says_goodbye_if_it_can()
    {
        await using var host = await GatewayHost.StartAsync();
        foreach (var (signal, outcome) in new[] { (15, Closed), (9, Lost) })
        {
            await using var ssh = RunningProcess.Start("ssh", "ssh", [.. host.ClientOptions(), "127.0.0.1", "echo started; exec sleep 600"]);
            await ssh.WaitForLineAsync("started");
            ssh.Signal(signal);
            Assert.Equal(outcome, (await host.EndOfAsync(host.LastSession)).Outcome);
        }
    }

    // ssh that leaves while output streams in resets the connection: its DISCONNECT must be read before the reset counts.
    [Fact]
    public async Task Ssh_that_leaves_in_the_middle_of_output_has_left_in_order()
    {
        await using var host = await GatewayHost.StartAsync();
        for (var i = 0; i < 3; i++)
        {
            await using var ssh = RunningProcess.Start("ssh", "sh", ["-c", "exec ssh \"$@\" > /dev/null", "sh", .. host.ClientOptions(), "127.0.0.1", "echo started >&2; exec cat /dev/zero"]);
            await ssh.WaitForLineAsync("started");
            ssh.Signal(2);
            Assert.Equal(Closed, (await host.EndOfAsync(host.LastSession)).Outcome);
        }
    }

    [Fact]
    public async Task A_target_that_is_lost_is_the_cause_and_the_user_has_what_it_said_and_reads_why()
    {
        await using var host = await GatewayHost.StartAsync();
        await using var ssh = RunningProcess.Start("ssh", "ssh", [.. host.ClientOptions(), "127.0.0.1", "seq 1 50000; echo started; exec sleep 600"]);
        await ssh.WaitForLineAsync("started");
        using (var sshd = System.Diagnostics.Process.GetProcessById(host.Sshd!.ProcessId))
            sshd.Kill(entireProcessTree: true);
        Assert.StartsWith("the way to the target was lost", (await host.EndOfAsync(host.LastSession)).Outcome, StringComparison.Ordinal);
        Assert.Equal(255, await ssh.WaitForExitAsync());
        Assert.Contains($"The way to 127.0.0.1:{host.Sshd!.Port} was lost", ssh.Output, StringComparison.Ordinal);
    }

    private static async Task<SshChannel> RunAsync(SshConnection user, string command)
    {
        var channel = await user.OpenChannelAsync("session", default, GatewayHost.Deadline);
        using var writer = new SshWriter();
        writer.WriteString(command);
        Assert.True(await channel.SendRequestAsync("exec", true, writer.ToArray(), GatewayHost.Deadline));
        return channel;
    }
}
