using System.Runtime.InteropServices;

namespace Relay.Protocol.Tunnel;

/// <summary>
/// The monotonic clock that leases, fences and the rights to open a stream are measured by. On the system's time it is CLOCK_BOOTTIME:
/// unlike CLOCK_MONOTONIC, which <see cref="TimeProvider"/> reads, it also counts the time a machine was suspended. Safe for concurrent use.
/// </summary>
/// <param name="time">Anything but <see cref="TimeProvider.System"/> is taken at its word.</param>
public sealed partial class BootClock(TimeProvider time)
{
    private const int BootTime = 7;

    private readonly long _start = time.GetTimestamp();

    /// <summary>Since some moment in the past; never goes back.</summary>
    public TimeSpan Now => ReferenceEquals(time, TimeProvider.System) && ClockGetTime(BootTime, out var now) == 0
        ? TimeSpan.FromTicks((now.Seconds * TimeSpan.TicksPerSecond) + (now.Nanoseconds / 100))
        : time.GetElapsedTime(_start);

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int ClockGetTime(int clock, out TimeSpec now);

    private struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
