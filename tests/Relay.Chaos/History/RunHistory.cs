using System.Diagnostics;
using System.Text.Json;

namespace Relay.Chaos.History;

/// <summary>The history of a run as it grows: in memory for the checker, and as JSON lines in a file. Safe for concurrent use.</summary>
internal sealed class RunHistory : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<HistoryEvent> _events = [];
    private readonly StreamWriter _file;
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly DateTimeOffset _startedAt = TimeProvider.System.GetUtcNow();
    private bool _over;

    /// <param name="file">Written line by line: a run that is killed leaves its history.</param>
    public RunHistory(string file) => _file = new StreamWriter(file) { AutoFlush = true };

    /// <summary>Raised for every event, on whatever thread adds it; must be quick.</summary>
    public event Action<HistoryEvent>? Added;

    /// <summary>Milliseconds since the run began.</summary>
    public double Now => Stopwatch.GetElapsedTime(_start).TotalMilliseconds;

    /// <summary>When a program says that it was: all processes of the host share its clocks (only the store's is ever set).</summary>
    public double At(DateTimeOffset written) => Math.Min(Now, (written - _startedAt).TotalMilliseconds);

    public void Add(HistoryEvent happened)
    {
        lock (_lock)
        {
            if (_over)
                return;
            _events.Add(happened);
            _file.WriteLine(JsonSerializer.Serialize(happened, HistoryJson.Default.HistoryEvent));
        }

        Added?.Invoke(happened);
    }

    public IReadOnlyList<HistoryEvent> Snapshot()
    {
        lock (_lock)
            return [.. _events];
    }

    /// <summary>The run is over: what happens from now on, to a grid that is taken down, belongs to no history.</summary>
    public IReadOnlyList<HistoryEvent> Finish()
    {
        lock (_lock)
        {
            _over = true;
            return [.. _events];
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _over = true;
            _file.Dispose();
        }
    }
}
