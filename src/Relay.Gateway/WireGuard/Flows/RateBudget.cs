namespace Relay.Gateway.WireGuard.Flows;

/// <summary>So many at once, and from then on so many in each second: a token bucket, full at first. Safe for concurrent use.</summary>
internal sealed class RateBudget(int burst, int perSecond, TimeProvider time)
{
    private readonly Lock _lock = new();
    private double _left = burst;
    private long _at = time.GetTimestamp();

    /// <summary>Takes one; false when there is none now.</summary>
    public bool TryTake()
    {
        lock (_lock)
        {
            long now = time.GetTimestamp();
            _left = Math.Min(burst, _left + (time.GetElapsedTime(_at, now).TotalSeconds * perSecond));
            _at = now;
            if (_left < 1) return false;
            _left--;
            return true;
        }
    }
}
