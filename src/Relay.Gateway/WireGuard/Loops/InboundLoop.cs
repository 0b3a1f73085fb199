using System.Net;
using System.Net.Sockets;
using Relay.Gateway.WireGuard.Flows;
using Relay.Gateway.WireGuard.Tun;
using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Loops;

/// <summary>One queue's way in: datagrams are received in batches, decrypted where they lie, joined and given to the kernel. One thread.</summary>
internal sealed class InboundLoop : SenderSink, IDisposable
{
    private readonly WireGuardDevice _device;
    private readonly InnerFilter _filter;
    private readonly TunnelClock _clock;
    private readonly UdpReceiver _receiver;
    private readonly UdpSender _sender;
    private readonly PacketCoalescer _coalescer;
    private readonly IPAddress? _own4, _own6;
    private readonly byte[] _refusal = new byte[Refusal.MaxLength];

    public InboundLoop(WireGuardDevice device, WireGuardOptions options, TunnelClock clock, UdpReceiver receiver, UdpSender sender, TunDevice tun, HandshakeQueue handshakes)
        : base(sender, handshakes)
    {
        _device = device;
        _filter = new InnerFilter(options.Devices, options.Resources, options.Own);
        _clock = clock;
        _receiver = receiver;
        _sender = sender;
        _coalescer = new PacketCoalescer(tun);
        _own4 = options.Own.FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork);
        _own6 = options.Own.FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetworkV6);
    }

    /// <summary>Packets that were decrypted, and packets that the kernel got for them.</summary>
    public (long Taken, long Written) Packets => (_coalescer.Taken, _coalescer.Written);

    /// <summary>Receives what there is, waiting a quarter of a second at most, and brings it all the way.</summary>
    public void Turn()
    {
        int messages = _receiver.Receive();
        if (messages == 0) return;
        TimeSpan now = _clock.Now;
        for (var i = 0; i < messages; i++)
        {
            Span<byte> datagrams = _receiver.Read(i, out WireGuardEndpoint source, out int segmentLength);
            if (source != default && !datagrams.IsEmpty) _device.ReceiveBatch(datagrams, segmentLength, source, now, this);
        }

        _coalescer.Flush();
        _sender.Flush();
    }

    public override void Deliver(WireGuardPeer peer, Span<byte> packet)
    {
        switch (_filter.Judge(packet))
        {
            case InnerVerdict.Pass:
                _coalescer.Add(packet);
                break;
            case InnerVerdict.Refuse when (packet[0] >> 4 == 6 ? _own6 : _own4) is { } own && DeviceTable.Of(peer).MayReportError():
                int length = Refusal.Write(packet, own, _refusal);
                if (length > 0) _device.Send(_refusal.AsSpan(0, length), _clock.Now, this);
                break;
        }
    }

    public void Dispose()
    {
        _receiver.Dispose();
        _sender.Dispose();
        _coalescer.Dispose();
    }
}
