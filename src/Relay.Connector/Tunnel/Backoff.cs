using System.Security.Cryptography;

namespace Relay.Connector.Tunnel;

/// <summary>
/// Full jitter: each wait is random between 0 and a bound that doubles, so that ten thousand agents that lost the same silo
/// do not come back together. Not thread-safe.
/// </summary>
internal sealed class Backoff
{
    private static readonly TimeSpan First = TimeSpan.FromMilliseconds(250);
    private readonly TimeSpan _longest;
    private TimeSpan _bound = First;

    /// <param name="longest">The bound stops growing here.</param>
    public Backoff(TimeSpan longest) => _longest = longest;

    public TimeSpan Next()
    {
        var bound = _bound < _longest ? _bound : _longest;
        _bound = bound + bound;
        return TimeSpan.FromMilliseconds(RandomNumberGenerator.GetInt32((int)bound.TotalMilliseconds + 1));
    }

    /// <summary>After a success.</summary>
    public void Reset() => _bound = First;
}
