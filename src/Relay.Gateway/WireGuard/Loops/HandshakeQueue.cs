using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Loops;

/// <summary>Handshake messages on their way to the thread that computes on the curve; when it is full, the new one is dropped. Safe for concurrent use.</summary>
internal sealed class HandshakeQueue : IDisposable
{
    /// <summary>About a fifth of a second of work.</summary>
    private const int Places = 1024;

    private const int LongestMessage = 148;

    private readonly Lock _lock = new();
    private readonly byte[] _messages = new byte[Places * LongestMessage];
    private readonly (WireGuardEndpoint From, int Length)[] _places = new (WireGuardEndpoint, int)[Places];
    private readonly AutoResetEvent _added = new(false);
    private int _first;
    private int _count;
    private long _dropped;

    public long Dropped => Volatile.Read(ref _dropped);

    public bool IsEmpty => Volatile.Read(ref _count) == 0;

    /// <summary>More wait than are worked off in a tenth of a second: sources should prove their address.</summary>
    public bool IsLong => Volatile.Read(ref _count) > Places / 2;

    public void Add(in WireGuardEndpoint from, ReadOnlySpan<byte> message)
    {
        lock (_lock)
        {
            if (_count == Places || message.Length > LongestMessage)
            {
                _dropped++;
                return;
            }

            int place = (_first + _count++) % Places;
            message.CopyTo(_messages.AsSpan(place * LongestMessage));
            _places[place] = (from, message.Length);
            // Whoever takes goes on until there are none.
            if (_count > 1) return;
        }

        _added.Set();
    }

    /// <summary>Takes the oldest.</summary>
    /// <param name="message">Room for 148 bytes.</param>
    /// <param name="from">Where it came from.</param>
    /// <returns>Its length; 0 when there is none.</returns>
    public int Take(Span<byte> message, out WireGuardEndpoint from)
    {
        lock (_lock)
        {
            from = default;
            if (_count == 0) return 0;
            (from, int length) = _places[_first];
            _messages.AsSpan(_first * LongestMessage, length).CopyTo(message);
            _first = (_first + 1) % Places;
            _count--;
            return length;
        }
    }

    /// <summary>Waits until there may be one, or the time has passed. Only after <see cref="Take"/> has found none.</summary>
    public void Wait(TimeSpan limit) => _added.WaitOne(limit);

    public void Dispose() => _added.Dispose();
}
