using System.Diagnostics;
using System.Text.Json;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Real silos and agents: who may have a connector when the silo that holds it dies or stands still.</summary>
public sealed class TakeoverTests
{
    private const int SigKill = 9;
    private const int SigCont = 18;
    private const int SigStop = 19;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task When_its_silo_is_killed_the_same_instance_is_back_at_once_and_another_is_refused()
    {
        await using var grid = await RelayGrid.StartAsync(silos: 3, gatewaySilo: 0);
        await grid.RelayAsync("connector", "create", "--name", "c");
        var token = await grid.CreateTokenAsync("c");
        var agent = grid.StartAgent("c", token, [0, 1, 2]);
        var held = await agent.WaitForMessageAsync("connected to relay");
        var holder = grid.Silos.Single(s => s.Connectors == held.GetProperty("server").GetString());

        var start = Stopwatch.GetTimestamp();
        holder.Process.Signal(SigKill);
        await EventuallyAsync(() => Lines(agent, "connected to relay").Length == 2, () => grid.Logs());
        TestContext.Current.SendDiagnosticMessage($"killed: the same instance is back after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
        var epochs = Lines(agent, "connected to relay").Select(l => l.GetProperty("epoch").GetInt64()).ToArray();
        Assert.True(epochs[1] > epochs[0], string.Join(' ', epochs));

        var other = grid.StartAgent("c (another)", token, [.. Enumerable.Range(0, 3).Where(i => grid.Silos[i] != holder)]);
        Assert.NotEqual(0, await other.WaitForExitAsync(Patience));
        Assert.Contains("already connected", other.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_frozen_silo_loses_the_connector_to_another_instance_and_opens_nothing_when_it_thaws()
    {
        await using var grid = await RelayGrid.StartAsync(silos: 3, gatewaySilo: 0);
        await using var target = await TargetSshd.StartAsync(await grid.RelayAsync("org", "ssh-ca"));
        await grid.RelayAsync("connector", "create", "--name", "c");
        var token = await grid.CreateTokenAsync("c");
        await grid.RelayAsync("socket", "create", "ssh", "--name", "s", "--connector", "c", "--host", "127.0.0.1", "--port", $"{target.Port}",
            "--username", Environment.UserName, "--host-key", target.HostKey());

        // The first instance knows only the silo that will freeze, so it cannot go elsewhere.
        var frozen = grid.Silos[2];
        var first = grid.StartAgent("c", token, [2]);
        await first.WaitForMessageAsync("connected to relay");
        var before = await grid.SshAsync("s.relay", "true");
        Assert.True(before.ExitCode == 0, $"{before}\n{grid.Logs()}");
        await first.WaitForMessageAsync("stream opened");
        Assert.Single(Lines(first, "stream opened"));

        frozen.Process.Signal(SigStop);
        var start = Stopwatch.GetTimestamp();
        // Openings that wait in the frozen silo's sockets, to be found there when it thaws.
        var waiting = Enumerable.Range(0, 3).Select(_ => grid.SshAsync("s.relay", "true")).ToArray();
        var second = grid.StartAgent("c (another)", token, [0, 1]);
        await second.WaitForMessageAsync("connected to relay", Patience);
        TestContext.Current.SendDiagnosticMessage($"frozen: another instance is admitted after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
        var opened = Lines(first, "stream opened").Length;

        frozen.Process.Signal(SigCont);
        await frozen.Process.WaitForExitAsync(Patience);
        await Task.WhenAll(waiting);
        var after = await grid.SshAsync("s.relay", "true");
        Assert.True(after.ExitCode == 0, $"{after}\n{grid.Logs()}");
        await second.WaitForMessageAsync("stream opened");

        // Nothing under the old epoch: not what had waited, and nothing new.
        Assert.Equal(opened, Lines(first, "stream opened").Length);
        Assert.False(second.HasExited, grid.Logs());
    }

    private static JsonElement[] Lines(RunningProcess process, string message) =>
    [
        .. process.Output.Split('\n').Where(l => l.StartsWith('{') && l.Contains(message, StringComparison.Ordinal)).Select(l => JsonDocument.Parse(l).RootElement)
            .Where(l => l.TryGetProperty("msg", out var text) && text.GetString() == message),
    ];

    private static async Task EventuallyAsync(Func<bool> condition, Func<string> otherwise)
    {
        using var limit = new CancellationTokenSource(Patience, TimeProvider.System);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        while (!condition())
        {
            Assert.False(limit.IsCancellationRequested, otherwise());
            await timer.WaitForNextTickAsync(CancellationToken.None);
        }
    }
}
