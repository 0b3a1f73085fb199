using System.Diagnostics;

namespace Relay.Bench.Ssh;

/// <summary>
/// Processor time a process has used, user and system. All processes of a transfer share the machine, so this says better than the
/// rate where the time went, and is less at the mercy of whatever else runs.
/// </summary>
internal static class ProcessCpu
{
    public static double Seconds(int pid)
    {
        using var process = Process.GetProcessById(pid);
        return process.TotalProcessorTime.TotalSeconds;
    }
}
