using System.Diagnostics;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>Real silo processes that die or stand still: the others find out, and a thawed one does not go on as if nothing had been.</summary>
public sealed class SiloFailureTests
{
    private const int SigKill = 9;
    private const int SigCont = 18;
    private const int SigStop = 19;

    // 3 probes of a second each, up to four times as many on an overloaded machine.
    private static readonly TimeSpan FoundOut = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task A_killed_silo_is_declared_dead_and_a_frozen_one_ends_when_it_thaws()
    {
        await using var grid = await RelayGrid.StartAsync(silos: 3, gatewaySilo: 0);
        var (survivor, frozen, killed) = (grid.Silos[0], grid.Silos[1], grid.Silos[2]);
        var start = Stopwatch.GetTimestamp();
        killed.Process.Signal(SigKill);
        await DeclaredDeadAsync([survivor, frozen], killed.Grid);
        TestContext.Current.SendDiagnosticMessage($"killed: declared dead after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");

        start = Stopwatch.GetTimestamp();
        frozen.Process.Signal(SigStop);
        await DeclaredDeadAsync([survivor], frozen.Grid);
        TestContext.Current.SendDiagnosticMessage($"frozen: declared dead after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
        Assert.Equal(0, (await grid.CliOnAsync(survivor, "connector", "list")).ExitCode);

        start = Stopwatch.GetTimestamp();
        frozen.Process.Signal(SigCont);
        await frozen.Process.WaitForExitAsync(FoundOut);
        TestContext.Current.SendDiagnosticMessage($"thawed: ended after {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s");
        Assert.Contains("declared", frozen.Process.Output, StringComparison.Ordinal);
        Assert.False(survivor.Process.HasExited, grid.Logs());
    }

    /// <summary>Whichever of them was first says so; the line names the dead silo's address.</summary>
    private static async Task DeclaredDeadAsync(RelayGrid.Silo[] survivors, string address)
    {
        using var limit = new CancellationTokenSource(FoundOut, TimeProvider.System);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50), TimeProvider.System);
        while (!survivors.Any(s => s.Process.Output.Split('\n').Any(line => line.Contains("is declared dead", StringComparison.Ordinal) && line.Contains(address, StringComparison.Ordinal))))
        {
            Assert.False(limit.IsCancellationRequested, $"{address} was not declared dead\n{string.Join("\n", survivors.Select(s => s.Process.Output))}");
            await timer.WaitForNextTickAsync(CancellationToken.None);
        }
    }
}
