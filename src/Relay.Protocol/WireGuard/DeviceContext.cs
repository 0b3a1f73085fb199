using System.Collections.Concurrent;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>What the parts of a device share. Each member is safe for concurrent use.</summary>
internal sealed class DeviceContext : IDisposable
{
    private long _stagedBytes;
    private long _handshakes;

    /// <exception cref="ArgumentException">The private key is not 32 bytes, or the MTU is below the 1280 of IPv6 or beyond 65535.</exception>
    public DeviceContext(WireGuardDeviceOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Mtu, 1280, nameof(options));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.Mtu, WireGuardLimits.LongestPacket, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegative(options.LoadThreshold, nameof(options));
        Entropy = options.Entropy;
        Epoch = options.Epoch;
        Mtu = options.Mtu;
        Static = X25519PrivateKey.FromScalar(options.PrivateKey.Span);
        PublicKey = new WireGuardPublicKey(Static.PublicKey.Span);
        Tagged = new TaggedIndices(options.PrivateKey.Span);
        Indices = new SessionIndexTable(Entropy, Tagged);
        Cookies = new CookieChecker(Static.PublicKey.Span, Entropy);
        Sources = new HandshakeRateLimiter(Entropy);
        Load = new HandshakeLoad(options.LoadThreshold);
    }

    public WireGuardEntropy Entropy { get; }

    public DateTimeOffset Epoch { get; }

    public int Mtu { get; }

    /// <summary>Our S.</summary>
    public X25519PrivateKey Static { get; }

    public WireGuardPublicKey PublicKey { get; }

    public ConcurrentDictionary<WireGuardPublicKey, WireGuardPeer> Peers { get; } = new();

    public AllowedIPs AllowedIPs { get; } = new();

    public SessionIndexTable Indices { get; }

    public TaggedIndices Tagged { get; }

    public Invitations Invitations { get; } = new();

    public DeadlineHeap Deadlines { get; } = new();

    public CookieChecker Cookies { get; }

    public HandshakeRateLimiter Sources { get; }

    public HandshakeLoad Load { get; }

    public WireGuardDrops Drops { get; } = new();

    public long Handshakes => Volatile.Read(ref _handshakes);

    public void CountHandshake() => Interlocked.Increment(ref _handshakes);

    /// <summary>A new E.</summary>
    public X25519PrivateKey NewEphemeral()
    {
        Span<byte> scalar = stackalloc byte[X25519PrivateKey.Length];
        Entropy(scalar);
        try
        {
            return X25519PrivateKey.FromScalar(scalar);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(scalar);
        }
    }

    /// <summary>Takes bytes out of the budget for staged packets; false when they are not there.</summary>
    public bool TryStage(int bytes)
    {
        if (Interlocked.Add(ref _stagedBytes, bytes) <= WireGuardLimits.StagedBytes) return true;
        Unstage(bytes);
        return false;
    }

    /// <summary>Puts bytes back into the budget.</summary>
    public void Unstage(int bytes) => Interlocked.Add(ref _stagedBytes, -bytes);

    public void Dispose()
    {
        Static.Dispose();
        Tagged.Dispose();
        Cookies.Dispose();
    }
}
