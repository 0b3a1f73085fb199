using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Relay.Connector.BuiltInSsh;

/// <summary>How a program ended: by its exit code, or by a signal.</summary>
internal readonly record struct ProcessEnd(int ExitCode, int Signal, bool CoreDumped);

/// <summary>Waits for the programs the service started, all with one handler of SIGCHLD. Safe for concurrent use.</summary>
internal sealed class ChildProcesses
{
    private static readonly Lazy<ChildProcesses> s_shared = new(() => new ChildProcesses());

    private readonly ConcurrentDictionary<int, TaskCompletionSource<ProcessEnd>> _running = new();
    private readonly Lock _reaping = new();
    private readonly PosixSignalRegistration _registration;

    private ChildProcesses() => _registration = PosixSignalRegistration.Create(PosixSignal.SIGCHLD, _ => ReapAll());

    public static ChildProcesses Shared => s_shared.Value;

    /// <summary>Completes when the process has ended, also when that was before this call.</summary>
    public Task<ProcessEnd> WatchAsync(int pid)
    {
        GC.KeepAlive(_registration);
        var end = _running.GetOrAdd(pid, _ => new TaskCompletionSource<ProcessEnd>(TaskCreationOptions.RunContinuationsAsynchronously));
        Reap(pid);
        return end.Task;
    }

    private void ReapAll()
    {
        foreach (var pid in _running.Keys)
            Reap(pid);
    }

    private void Reap(int pid)
    {
        // One at a time: a child's end is told once, and who asks second would hear that there is no such child.
        lock (_reaping)
        {
            if (!_running.TryGetValue(pid, out var end))
                return;
            var result = Posix.WaitForProcess(pid, out var status, Posix.WNOHANG);
            if (result == 0 || (result < 0 && Marshal.GetLastPInvokeError() == Posix.EINTR))
                return;
            _running.TryRemove(pid, out _);
            var signal = status & 0x7f;
            end.SetResult(result < 0 ? new ProcessEnd(255, 0, false) : signal == 0 ? new ProcessEnd((status >> 8) & 0xff, 0, false) : new ProcessEnd(0, signal, (status & 0x80) != 0));
        }
    }
}
