using System.Net;
using Relay.Gateway.WireGuard.Loops;
using Relay.Gateway.WireGuard.Tun;
using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>Answers datagrams of refused flows with an ICMP error, through the tunnel. Safe for concurrent use. Caller disposes.</summary>
internal sealed class UdpRefusals(WireGuardDevice wireGuard, DeviceTable devices, WireGuardOptions options, TunnelClock clock, UdpSender sender, HandshakeQueue handshakes) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly SenderSink _sink = new(sender, handshakes);
    private bool _disposed;

    /// <param name="from">The device's address and port.</param>
    /// <param name="dialled">What it sent to.</param>
    /// <param name="payloadLength">Bytes it sent.</param>
    /// <param name="cause">Why.</param>
    public void Answer(IPEndPoint from, IPEndPoint dialled, int payloadLength, RefusalCause cause)
    {
        if (devices.Find(from.Address) is not { } device || !device.MayReportError()) return;
        if (options.Own.FirstOrDefault(a => a.AddressFamily == from.AddressFamily) is not { } own) return;
        Span<byte> header = stackalloc byte[TransportLayout.IPv6HeaderLength + 8];
        Span<byte> message = stackalloc byte[Refusal.MaxLength];
        int quoted = Refusal.WriteDatagramHeader(from, dialled, payloadLength, header);
        int length = Refusal.Write(header[..quoted], own, message, cause);
        lock (_lock)
        {
            if (length == 0 || _disposed) return;
            wireGuard.Send(message[..length], clock.Now, _sink);
            sender.Flush();
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            sender.Dispose();
        }
    }
}
