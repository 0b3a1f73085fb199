using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;

namespace Relay.TestKit.Processes;

/// <summary>
/// A real process with its output kept. Tests wait for a line it prints, never for time to pass; whatever fails shows
/// the process's last lines. Disposing ends it (SIGTERM, then SIGKILL) and only it.
/// </summary>
public sealed partial class RunningProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly List<string> _lines = [];
    private readonly List<Channel<string>> _watchers = [];
    private readonly Lock _gate = new();
    private readonly Task _pumps;
    private bool _ended;
    private bool _disposed;

    private RunningProcess(string name, Process process)
    {
        Name = name;
        _process = process;
        _pumps = PumpAllAsync();
    }

    public string Name { get; }

    public int Id => _process.Id;

    public bool HasExited => _disposed || _process.HasExited;

    /// <summary>Everything printed so far, both streams, in the order it arrived.</summary>
    public string Output
    {
        get
        {
            lock (_gate)
                return string.Join('\n', _lines);
        }
    }

    /// <summary>Starts <paramref name="file"/> with the given arguments and additional environment; null values remove a variable.</summary>
    public static RunningProcess Start(string name, string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment = null, string? workingDirectory = null)
    {
        var info = new ProcessStartInfo(file, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            WorkingDirectory = workingDirectory ?? Path.GetTempPath(),
        };
        foreach (var inherited in info.Environment.Keys.Where(k => k.StartsWith("RELAY_", StringComparison.Ordinal)).ToArray())
            info.Environment.Remove(inherited);
        foreach (var (key, value) in environment ?? new Dictionary<string, string?>())
        {
            if (value is null)
                info.Environment.Remove(key);
            else
                info.Environment[key] = value;
        }
        return new RunningProcess(name, Process.Start(info) ?? throw new InvalidOperationException($"{file} did not start."));
    }

    /// <summary>The first line, already printed or still to come, that contains <paramref name="text"/>.</summary>
    /// <exception cref="InvalidOperationException">The process ended, or the deadline passed, without it.</exception>
    public async Task<string> WaitForLineAsync(string text, TimeSpan? deadline = null)
    {
        var watcher = Channel.CreateUnbounded<string>();
        lock (_gate)
        {
            foreach (var line in _lines)
                watcher.Writer.TryWrite(line);
            if (_ended)
                watcher.Writer.TryComplete();
            _watchers.Add(watcher);
        }
        using var limit = new CancellationTokenSource(deadline ?? TimeSpan.FromSeconds(60));
        try
        {
            await foreach (var line in watcher.Reader.ReadAllAsync(limit.Token))
                if (line.Contains(text, StringComparison.Ordinal))
                    return line;
        }
        catch (OperationCanceledException)
        {
            throw new InvalidOperationException($"{Name} did not print '{text}' in time. It printed:\n{Output}");
        }
        throw new InvalidOperationException($"{Name} ended without printing '{text}'. It printed:\n{Output}");
    }

    /// <summary>As <see cref="WaitForLineAsync"/>, for JSON log lines: waits for <c>"msg":"…"</c> and gives the parsed line.</summary>
    public async Task<JsonElement> WaitForMessageAsync(string message, TimeSpan? deadline = null)
    {
        var line = await WaitForLineAsync($"\"msg\":\"{message}", deadline);
        using var document = JsonDocument.Parse(line);
        return document.RootElement.Clone();
    }

    /// <summary>The exit code, once it ended by itself.</summary>
    public async Task<int> WaitForExitAsync(TimeSpan? deadline = null)
    {
        using var limit = new CancellationTokenSource(deadline ?? TimeSpan.FromSeconds(60));
        try
        {
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            throw new InvalidOperationException($"{Name} did not end in time. It printed:\n{Output}");
        }
        await _pumps;
        return _process.ExitCode;
    }

    /// <summary>One line to its stdin.</summary>
    public async Task WriteLineAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>The end of its stdin.</summary>
    public void CloseInput() => _process.StandardInput.Close();

    /// <summary>Sends a signal: SIGTERM 15, SIGKILL 9, SIGSTOP 19, SIGCONT 18, SIGINT 2.</summary>
    public void Signal(int signal)
    {
        if (!_process.HasExited)
            _ = Kill(_process.Id, signal);
    }

    /// <summary>Sends a signal to a process of somebody else's making: a child of one that was started here.</summary>
    public static void Signal(int process, int signal) => _ = Kill(process, signal);

    /// <summary>Sends a signal to the process's group, as a terminal does; only for one that leads its own (started by <c>setsid</c>).</summary>
    public void SignalGroup(int signal) => _ = Kill(-_process.Id, signal);

    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        Signal(18);
        Signal(15);
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        try
        {
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            Signal(9);
            await _process.WaitForExitAsync(CancellationToken.None);
        }
        _process.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int pid, int signal);

    private async Task PumpAllAsync()
    {
        await Task.WhenAll(PumpAsync(_process.StandardOutput), PumpAsync(_process.StandardError));
        lock (_gate)
        {
            _ended = true;
            foreach (var watcher in _watchers)
                watcher.Writer.TryComplete();
        }
    }

    private async Task PumpAsync(StreamReader reader)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            lock (_gate)
            {
                _lines.Add(line);
                foreach (var watcher in _watchers)
                    watcher.Writer.TryWrite(line);
            }
        }
    }
}
