namespace Relay.Protocol.WireGuard;

/// <summary>
/// Whether the device is under load, whitepaper §5.3: more handshake messages with a right mac1 within a second than it is
/// set to do, and for a second after; or its driver says so. Safe for concurrent use.
/// </summary>
internal sealed class HandshakeLoad(int perSecond)
{
    private readonly Lock _lock = new();
    private TimeSpan _windowStart;
    private int _inWindow;
    private TimeSpan? _until;

    /// <summary>Counts one message; true when the device is under load with it.</summary>
    public bool Count(TimeSpan now)
    {
        lock (_lock)
        {
            if (now - _windowStart >= TimeSpan.FromSeconds(1))
            {
                _windowStart = now;
                _inWindow = 0;
            }

            // Saturates: more is not more.
            if (_inWindow <= perSecond) _inWindow++;
            if (_inWindow > perSecond) _until = now + WireGuardLimits.LoadLinger;
            return _until is { } until && now < until;
        }
    }

    /// <summary>The driver's own sign: messages wait to be handled.</summary>
    public void Declare(TimeSpan now)
    {
        lock (_lock) _until = now + WireGuardLimits.LoadLinger;
    }
}
