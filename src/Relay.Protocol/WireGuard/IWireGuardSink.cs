namespace Relay.Protocol.WireGuard;

/// <summary>
/// What a <see cref="WireGuardDevice"/> wants done. Called on the thread that called the device, outside its locks: an
/// implementation may call the device again. The bytes are the device's and valid during the call only, unless said otherwise.
/// </summary>
public interface IWireGuardSink
{
    /// <summary>Send this datagram: a handshake message, a cookie reply, a keepalive, or a packet that was staged.</summary>
    void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram);

    /// <summary>
    /// An inner packet, IPv4 or IPv6 without padding, authentic, new, and from an address that is the peer's. It lies in the buffer that was
    /// given to <see cref="WireGuardDevice.ReceiveBatch"/> and may be kept there or changed, up to its own length.
    /// </summary>
    void Deliver(WireGuardPeer peer, Span<byte> packet);

    /// <summary>
    /// A handshake message (148, 92 or 64 bytes), or the beginning of a packet of an unknown session (32 bytes), for
    /// <see cref="WireGuardDevice.ReceiveHandshake"/>, which computes on the curve: a driver that carries data copies it to a bounded queue of another
    /// thread and drops it when that is full.
    /// </summary>
    void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message);

    /// <summary>The peer has a session that can be sent in, its first or the next one.</summary>
    void Established(WireGuardPeer peer);
}
