using System.Globalization;
using System.Text;

namespace Relay.Silo.Hosting;

/// <summary>Counts durations by buckets, in Prometheus' text format. Safe for concurrent use.</summary>
/// <param name="name">Metric name; ends in _seconds.</param>
/// <param name="help">One sentence.</param>
internal sealed class Histogram(string name, string help)
{
    // Seconds; the objective of a second lies on a bound, so that what met it can be read off.
    private static readonly double[] Bounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30];

    private readonly long[] _counts = new long[Bounds.Length + 1];
    private long _microseconds;

    /// <summary>How many were observed.</summary>
    public long Count => _counts.Sum(static c => c);

    /// <param name="duration">A negative one (a clock that was set back) counts as none.</param>
    public void Observe(TimeSpan duration)
    {
        var seconds = Math.Max(0, duration.TotalSeconds);
        var bucket = Array.FindIndex(Bounds, b => seconds <= b);
        Interlocked.Increment(ref _counts[bucket < 0 ? Bounds.Length : bucket]);
        Interlocked.Add(ref _microseconds, (long)(seconds * 1_000_000));
    }

    public void Render(StringBuilder text)
    {
        text.Append(CultureInfo.InvariantCulture, $"# HELP {name} {help}\n# TYPE {name} histogram\n");
        long below = 0;
        for (var i = 0; i < Bounds.Length; i++)
        {
            below += Interlocked.Read(ref _counts[i]);
            text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{le=\"{Bounds[i]}\"}} {below}\n");
        }

        // The last bucket is the count, by definition: read once.
        below += Interlocked.Read(ref _counts[^1]);
        text.Append(CultureInfo.InvariantCulture, $"{name}_bucket{{le=\"+Inf\"}} {below}\n");
        text.Append(CultureInfo.InvariantCulture, $"{name}_sum {Interlocked.Read(ref _microseconds) / 1_000_000.0}\n{name}_count {below}\n");
    }
}
