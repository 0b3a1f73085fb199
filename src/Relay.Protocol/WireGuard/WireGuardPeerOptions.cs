using System.Net;

namespace Relay.Protocol.WireGuard;

/// <summary>What a peer is when it is added.</summary>
public sealed class WireGuardPeerOptions
{
    /// <summary>Its static public key, by which it is known.</summary>
    public required WireGuardPublicKey PublicKey { get; init; }

    /// <summary>Preshared key: 32 bytes, copied; empty means none.</summary>
    public ReadOnlyMemory<byte> PresharedKey { get; init; }

    /// <summary>Its addresses inside the tunnel; taken from other peers that have the same prefix.</summary>
    public IReadOnlyList<IPNetwork> AllowedIPs { get; init; } = [];

    /// <summary>Where it is, until it says so itself; the default is nowhere: it has to come first.</summary>
    public WireGuardEndpoint Endpoint { get; init; }

    /// <summary>Persistent keepalive; zero turns it off. At most 65535 s.</summary>
    public TimeSpan PersistentKeepalive { get; init; }

    /// <summary>
    /// A number by which every device with our private key knows this peer; zero: none. Then its packets in a session that another such device made
    /// are known for its own, and it is asked for a new one: it need not wait for its timers when that other device is gone.
    /// </summary>
    public ushort Tag { get; init; }

    /// <summary>The driver's own: what it knows the peer as.</summary>
    public object? Owner { get; init; }
}
