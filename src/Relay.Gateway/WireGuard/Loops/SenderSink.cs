using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Loops;

/// <summary>What a thread that has a sender does with the device's wishes. Belongs to that thread, which flushes the sender.</summary>
internal class SenderSink(UdpSender sender, HandshakeQueue handshakes) : IWireGuardSink
{
    public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram) => sender.Add(to, datagram);

    public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => handshakes.Add(from, message);

    /// <summary>Only what receives has packets delivered.</summary>
    public virtual void Deliver(WireGuardPeer peer, Span<byte> packet)
    {
    }

    public void Established(WireGuardPeer peer)
    {
    }
}
