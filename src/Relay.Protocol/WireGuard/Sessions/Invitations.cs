using System.Collections.Concurrent;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// Peers by their tags, and how many packets of unknown sessions are looked at for one: <see cref="WireGuardPeerOptions.Tag"/>. Safe for concurrent use.
/// </summary>
internal sealed class Invitations
{
    private readonly ConcurrentDictionary<ushort, WireGuardPeer> _peers = new();
    private readonly Lock _lock = new();
    private volatile bool _hasPeers;
    private TimeSpan _windowStart;
    private int _inWindow;
    private long _sent;

    /// <summary>Invitations sent.</summary>
    public long Sent => Volatile.Read(ref _sent);

    public void Add(WireGuardPeer peer)
    {
        if (peer.Tag == 0) return;
        // Of several with one tag the newest is found: the others shake hands when their own timers say so.
        _peers[peer.Tag] = peer;
        _hasPeers = true;
    }

    public void Remove(WireGuardPeer peer) => _peers.TryRemove(KeyValuePair.Create(peer.Tag, peer));

    public WireGuardPeer? Find(ushort tag) => _peers.GetValueOrDefault(tag);

    /// <summary>Counts one packet; false when enough were looked at in this second, or there is nobody to be found.</summary>
    public bool TryLook(TimeSpan now)
    {
        if (!_hasPeers) return false;
        lock (_lock)
        {
            if (now - _windowStart >= TimeSpan.FromSeconds(1)) (_windowStart, _inWindow) = (now, 0);
            if (_inWindow >= WireGuardLimits.InvitationsPerSecond) return false;
            _inWindow++;
            return true;
        }
    }

    public void CountSent() => Interlocked.Increment(ref _sent);
}
