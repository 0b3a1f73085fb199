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

    /// <summary>The same of the threads whose names begin so, those alive.</summary>
    public static double Seconds(int pid, string threads)
    {
        using var process = Process.GetProcessById(pid);
        return process.Threads.Cast<ProcessThread>()
            .Where(t => File.ReadAllText($"/proc/{pid}/task/{t.Id}/comm").StartsWith(threads, StringComparison.Ordinal))
            .Sum(t => t.TotalProcessorTime.TotalSeconds);
    }
}
