namespace Relay.Gateway.WireGuard;

/// <summary>The time of a tunnel: monotonic, zero when it was made. Safe for concurrent use.</summary>
internal sealed class TunnelClock(TimeProvider time)
{
    private readonly long _start = time.GetTimestamp();

    public TimeProvider Time => time;

    /// <summary>The time of day at zero.</summary>
    public DateTimeOffset Epoch { get; } = time.GetUtcNow();

    public TimeSpan Now => time.GetElapsedTime(_start);
}
