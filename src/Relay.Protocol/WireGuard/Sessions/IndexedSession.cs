namespace Relay.Protocol.WireGuard;

/// <summary>What a receiver index in a message stands for: a handshake under way or a key pair.</summary>
internal abstract class IndexedSession(WireGuardPeer peer)
{
    /// <summary>Whose.</summary>
    public WireGuardPeer Peer { get; } = peer;

    /// <summary>Our index of it; set when it enters the table.</summary>
    public uint LocalIndex { get; set; }
}
