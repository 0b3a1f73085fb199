using System.Globalization;

namespace Relay.Bench.Ssh;

/// <summary>Memory as the kernel accounts it: private pages, so that what processes share is not counted twice.</summary>
internal static class ProcessMemory
{
    public static long Bytes(int pid)
    {
        try
        {
            return File.ReadLines($"/proc/{pid}/smaps_rollup")
                .Where(l => l.StartsWith("Private_", StringComparison.Ordinal))
                .Sum(l => long.Parse(l.Split(':', 2)[1].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture)) * 1024;
        }
        catch (IOException)
        {
            return 0; // It has ended meanwhile.
        }
    }

    /// <summary>A process and all it has started.</summary>
    public static long TreeBytes(int pid) => Bytes(pid) + Children(pid).Sum(TreeBytes);

    private static int[] Children(int pid)
    {
        var file = $"/proc/{pid}/task/{pid}/children";
        return File.Exists(file) ? [.. File.ReadAllText(file).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)] : [];
    }
}
