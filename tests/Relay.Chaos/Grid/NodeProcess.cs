using System.Diagnostics;
using System.Runtime.InteropServices;
using Relay.Chaos.History;

namespace Relay.Chaos.Grid;

/// <summary>A program that runs in a node; every line it prints is handed on at once, the last ones are kept. Ends with <see cref="DisposeAsync"/>.</summary>
internal sealed partial class NodeProcess : IAsyncDisposable
{
    private const int Kept = 400;
    private readonly Process _process;
    private readonly RunHistory _history;
    private readonly Queue<string> _lines = new();
    private readonly List<(string Text, TaskCompletionSource<string> Found)> _waiting = [];
    private readonly Lock _lock = new();
    private readonly Task _pumps;

    private NodeProcess(string node, Process process, RunHistory history, Action<string> onLine)
    {
        Node = node;
        _process = process;
        _history = history;
        _pumps = PumpAllAsync(onLine);
    }

    public string Node { get; }

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>Completes when the process has ended and everything it printed has been read.</summary>
    public Task Ended => _pumps;

    /// <summary>The last lines.</summary>
    public string Output
    {
        get
        {
            lock (_lock)
                return string.Join('\n', _lines);
        }
    }

    /// <param name="command">Program and arguments, as <see cref="Network.NodeNetwork.Enter"/> gives them.</param>
    public static NodeProcess Start(string node, string[] command, IReadOnlyDictionary<string, string?> environment, string folder, RunHistory history, Action<string> onLine)
    {
        var info = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, WorkingDirectory = folder };
        foreach (var inherited in info.Environment.Keys.Where(k => k.StartsWith("RELAY_", StringComparison.Ordinal)).ToArray())
            info.Environment.Remove(inherited);
        foreach (var (key, value) in environment)
            info.Environment[key] = value;
        var process = Process.Start(info) ?? throw new InvalidOperationException($"{command[0]} did not start");
        history.Add(new HistoryEvent(history.Now, Kinds.NodeStarted) { Node = node });
        return new NodeProcess(node, process, history, onLine);
    }

    /// <summary>The first line, printed already or still to come, that contains the text; null: it ended, or the limit passed.</summary>
    public async Task<string?> WaitForAsync(string text, TimeSpan limit)
    {
        var found = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            if (_lines.FirstOrDefault(l => l.Contains(text, StringComparison.Ordinal)) is { } line)
                return line;
            _waiting.Add((text, found));
        }

        using var late = new CancellationTokenSource(limit, TimeProvider.System);
        var over = Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, late.Token);
        var first = await Task.WhenAny(found.Task, _pumps, over);
        return first == found.Task ? await found.Task : null;
    }

    public void Kill()
    {
        if (_process.HasExited)
            return;
        _history.Add(new HistoryEvent(_history.Now, Kinds.NodeKilled) { Node = Node });
        _ = Signal(_process.Id, 9);
    }

    public void Freeze()
    {
        if (_process.HasExited)
            return;
        _ = Signal(_process.Id, 19);
        _history.Add(new HistoryEvent(_history.Now, Kinds.NodeFrozen) { Node = Node });
    }

    public void Thaw()
    {
        if (_process.HasExited)
            return;
        _history.Add(new HistoryEvent(_history.Now, Kinds.NodeThawed) { Node = Node });
        _ = Signal(_process.Id, 18);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _ = Signal(_process.Id, 9);
        await _pumps;
        _process.Dispose();
    }

    private async Task PumpAllAsync(Action<string> onLine)
    {
        await Task.WhenAll(PumpAsync(_process.StandardOutput, onLine), PumpAsync(_process.StandardError, onLine));
        await _process.WaitForExitAsync();
        _history.Add(new HistoryEvent(_history.Now, Kinds.NodeExited) { Node = Node, Reason = $"code {_process.ExitCode}" });
    }

    private async Task PumpAsync(StreamReader reader, Action<string> onLine)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            onLine(line);
            lock (_lock)
            {
                _lines.Enqueue(line);
                if (_lines.Count > Kept)
                    _lines.Dequeue();
                foreach (var (_, found) in _waiting.Where(w => line.Contains(w.Text, StringComparison.Ordinal)))
                    found.TrySetResult(line);
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Signal(int pid, int signal);
}
