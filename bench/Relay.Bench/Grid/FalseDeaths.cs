using System.Diagnostics;
using System.Globalization;

namespace Relay.Bench.Grid;

/// <summary>Three silos on a machine that others keep busy, twice as many threads as it has processors, for ten minutes: nobody may be declared dead.</summary>
internal sealed class FalseDeaths : IBenchmark
{
    private static readonly TimeSpan Length = TimeSpan.FromMinutes(10);

    public string Prefix => "grid.false_deaths";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        await using var live = await LiveGrid.StartAsync(3);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Thread[] busy = [.. Enumerable.Range(0, Environment.ProcessorCount * 2).Select(_ => new Thread(() => Spin(enough.Token)) { IsBackground = true })];
        foreach (var thread in busy)
            thread.Start();
        var start = Stopwatch.GetTimestamp();
        await Task.Delay(Length, TimeProvider.System, cancellationToken);
        await enough.CancelAsync();
        foreach (var thread in busy)
            thread.Join();
        var deaths = live.Grid.Silos.Sum(s => s.Process.Output.Split('\n').Count(l => l.Contains("is declared dead", StringComparison.Ordinal)));
        if (live.Grid.Silos.Any(s => s.Process.HasExited))
            throw new InvalidOperationException("A silo has ended.");
        report.Add("grid.false_deaths", "", Better.Lower, deaths);
        Report.Note(string.Create(CultureInfo.InvariantCulture, $"in {Stopwatch.GetElapsedTime(start).TotalMinutes:0.0} minutes with {busy.Length} busy threads on {Environment.ProcessorCount} processors"));
    }

    private static void Spin(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
            Thread.SpinWait(1000);
    }
}
