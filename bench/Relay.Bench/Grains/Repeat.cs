using System.Diagnostics;
using System.Globalization;

namespace Relay.Bench.Grains;

/// <summary>Runs calls in a row or side by side, and counts.</summary>
internal static class Repeat
{
    public static Task SequentialAsync(int calls, Func<int, Task<int>> call) => Task.Run(async () =>
    {
        for (var i = 0; i < calls; i++) await call(i);
    });

    public static Task ConcurrentAsync(int callers, int calls, Func<int, int, Task<int>> call) => Task.WhenAll(Enumerable.Range(0, callers).Select(caller => Task.Run(async () =>
    {
        for (var i = 0; i < calls / callers; i++) await call(caller, i);
    })));

    public static async Task<CallRate> MeasureAsync(int calls, Func<Task> run)
    {
        GC.Collect();
        var allocated = GC.GetTotalAllocatedBytes(precise: true);
        var start = Stopwatch.GetTimestamp();
        await run();
        var elapsed = Stopwatch.GetElapsedTime(start);
        return new CallRate(calls / elapsed.TotalSeconds, (double)(GC.GetTotalAllocatedBytes(precise: true) - allocated) / calls);
    }

    /// <summary>The times of sequential calls, in order of length.</summary>
    public static Task<TimeSpan[]> TimesAsync(int calls, Func<Task> call) => Task.Run(async () =>
    {
        var times = new TimeSpan[calls];
        for (var i = 0; i < calls; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await call();
            times[i] = Stopwatch.GetElapsedTime(start);
        }

        Array.Sort(times);
        return times;
    });
}

/// <param name="PerSecond">Calls per second.</param>
/// <param name="BytesPerCall">Allocated by the whole process, per call.</param>
internal sealed record CallRate(double PerSecond, double BytesPerCall)
{
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{PerSecond,12:#,0} calls/s  {BytesPerCall,6:0} B/call");
}
