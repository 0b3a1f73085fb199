using System.Net;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>A peer of a <see cref="WireGuardDevice"/>. Safe for concurrent use.</summary>
public sealed class WireGuardPeer
{
    private const int KeyLength = WireGuardWire.KeyLength;

    private readonly WireGuardPublicKey _publicKey;
    // DH(S_i, S_r), then Q. Pinned, so that the collector leaves no copies.
    private readonly byte[] _secrets = GC.AllocateArray<byte>(2 * KeyLength, pinned: true);
    private volatile EndpointBox? _endpoint;
    private volatile bool _isRemoved;
    private long _lastHandshake = PeerTimers.Never;
    private long _received;
    private long _sent;
    private bool _hasStaticStatic;

    internal WireGuardPeer(WireGuardPeerOptions options, DeviceContext device)
    {
        _publicKey = options.PublicKey;
        Owner = options.Owner;
        Tag = options.Tag;
        options.PresharedKey.Span.CopyTo(_secrets.AsSpan(KeyLength));
        if (options.Endpoint != default) _endpoint = new EndpointBox(options.Endpoint);
        Keypairs = new PeerKeypairs(device.Indices);
        Timers = new PeerTimers(this, device.Deadlines) { PersistentKeepalive = options.PersistentKeepalive };
    }

    /// <summary>Its static public key.</summary>
    public WireGuardPublicKey PublicKey => _publicKey;

    /// <summary>What the driver gave when it added the peer.</summary>
    public object? Owner { get; }

    /// <summary>Where its last authentic packet came from, or where it was said to be; the default is nowhere.</summary>
    public WireGuardEndpoint Endpoint => _endpoint?.Value ?? default;

    /// <summary>When the last handshake ended, in the device's time; null before the first.</summary>
    public TimeSpan? LastHandshake => Volatile.Read(ref _lastHandshake) is var ticks && ticks != PeerTimers.Never ? new TimeSpan(ticks) : null;

    /// <summary>Bytes of authentic datagrams received, as <c>wg show</c> counts: with header and padding, without UDP and IP.</summary>
    public long ReceivedBytes => Volatile.Read(ref _received);

    /// <summary>Bytes of datagrams sent, counted alike.</summary>
    public long SentBytes => Volatile.Read(ref _sent);

    /// <summary>Persistent keepalive; zero when it is off.</summary>
    public TimeSpan PersistentKeepalive => Timers.PersistentKeepalive;

    /// <summary>Its addresses inside the tunnel.</summary>
    public IReadOnlyList<IPNetwork> AllowedIPs => [.. Prefixes.Select(static p => p.ToIPNetwork())];

    /// <summary>True once it was removed: nothing works for it any more.</summary>
    public bool IsRemoved => _isRemoved;

    internal ref readonly WireGuardPublicKey Key => ref _publicKey;

    /// <summary>As in <see cref="WireGuardPeerOptions.Tag"/>.</summary>
    internal ushort Tag { get; }

    /// <summary>The lock of everything that follows a handshake: pending, keypairs' changes, timestamps, cookies, staged packets.</summary>
    internal object Gate { get; } = new();

    internal PeerKeypairs Keypairs { get; }

    internal PeerTimers Timers { get; }

    /// <summary>The peer's entry in the heap.</summary>
    internal DeadlineHeap.Entry Deadline = new();

    /// <summary>What it has in the trie; under the device's lock.</summary>
    internal InnerPrefix[] Prefixes { get; set; } = [];

    /// <summary>Our initiation that waits for its response.</summary>
    internal PendingInitiation? Pending { get; set; }

    /// <summary>When our last initiation went out.</summary>
    internal TimeSpan? LastInitiationSent { get; set; }

    /// <summary>When it was last invited: an initiation to where an unknown session's packet came from.</summary>
    internal TimeSpan? LastInvited { get; set; }

    /// <summary>Since when we have been initiating without an answer.</summary>
    internal TimeSpan AttemptsSince { get; set; }

    /// <summary>When the last initiation of the peer was accepted.</summary>
    internal TimeSpan? LastInitiationReceived { get; set; }

    /// <summary>The timestamp in it.</summary>
    internal Tai64n LastTimestamp { get; set; }

    /// <summary>Made when it is first needed.</summary>
    internal CookieJar Cookies => field ??= new CookieJar();

    /// <summary>Packets that wait for a session; null when none does.</summary>
    internal StagedPackets? Staged { get; set; }

    /// <summary>Q; zeros when there is none. Under the lock.</summary>
    internal ReadOnlySpan<byte> PresharedKey => _secrets.AsSpan(KeyLength);

    /// <summary>Says where the peer is, until it comes from somewhere else.</summary>
    public void SetEndpoint(in WireGuardEndpoint endpoint) => MoveTo(endpoint);

    /// <summary>Sets persistent keepalives, of which the first is due at once; zero turns them off.</summary>
    /// <exception cref="ArgumentException">The interval is not 0 to 65535 s.</exception>
    public void SetPersistentKeepalive(TimeSpan interval, TimeSpan now)
    {
        CheckKeepalive(interval);
        Timers.PersistentKeepalive = interval;
        Timers.StartPersistent(now);
    }

    /// <summary>DH(S_i, S_r), computed when it is first needed; false when the peer's key is of small order. Under the lock.</summary>
    internal bool TryGetStaticStatic(X25519PrivateKey own, out ReadOnlySpan<byte> staticStatic)
    {
        Span<byte> kept = _secrets.AsSpan(0, KeyLength);
        _hasStaticStatic = _hasStaticStatic || own.TryDerive(_publicKey, kept);
        staticStatic = kept;
        return _hasStaticStatic;
    }

    /// <exception cref="ArgumentException">The interval is not 0 to 65535 s.</exception>
    internal static void CheckKeepalive(TimeSpan interval)
    {
        if (interval < TimeSpan.Zero || interval > TimeSpan.FromSeconds(65535)) throw new ArgumentException("A persistent keepalive is 0 to 65535 s.", nameof(interval));
    }

    /// <summary>Sets Q. Under the lock.</summary>
    internal void SetPresharedKey(ReadOnlySpan<byte> key)
    {
        Span<byte> kept = _secrets.AsSpan(KeyLength);
        kept.Clear();
        key.CopyTo(kept);
    }

    /// <summary>An authentic, new packet came from there, or somebody with the right to says so.</summary>
    internal void MoveTo(in WireGuardEndpoint endpoint)
    {
        if (_endpoint is not { } box || box.Value != endpoint) _endpoint = new EndpointBox(endpoint);
    }

    internal void CountReceived(long bytes) => Interlocked.Add(ref _received, bytes);

    internal void CountSent(long bytes) => Interlocked.Add(ref _sent, bytes);

    internal void HandshakeEnded(TimeSpan now)
    {
        Volatile.Write(ref _lastHandshake, now.Ticks);
        Timers.HandshakeDone();
    }

    /// <summary>Ends all sessions and handshakes; the bytes of staged packets go back to the budget. Under the lock.</summary>
    internal void EndSessions(DeviceContext device)
    {
        Keypairs.Clear();
        DropPending(device);
        Staged?.Clear(device);
        Staged = null;
    }

    /// <summary>Forgets our initiation, if one waits. Under the lock.</summary>
    internal void DropPending(DeviceContext device)
    {
        if (Pending is not { } pending) return;
        device.Indices.Remove(pending);
        pending.Dispose();
        Pending = null;
    }

    /// <summary>The end of the peer: whoever takes the lock afterwards sees it. Under the lock.</summary>
    internal void MarkRemoved()
    {
        _isRemoved = true;
        _hasStaticStatic = false;
        CryptographicOperations.ZeroMemory(_secrets);
    }

    // Larger than what is written at once: a reader sees one endpoint or the other, not parts of both.
    private sealed class EndpointBox(WireGuardEndpoint value)
    {
        public WireGuardEndpoint Value { get; } = value;
    }
}
