using System.Buffers;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>Transport data on its way out, whitepaper §5.4.6, §6.2, §6.5. Safe for concurrent use.</summary>
internal sealed class DataSender
{
    private readonly DeviceContext _device;

    public DataSender(DeviceContext device)
    {
        _device = device;
        Handshakes = new HandshakeExchange(device, this);
    }

    public HandshakeExchange Handshakes { get; }

    /// <summary>Length of the datagram that a packet becomes.</summary>
    public int SealedLength(int packetLength)
    {
        int padded = (packetLength + WireGuardSpec.PaddingMultiple - 1) & ~(WireGuardSpec.PaddingMultiple - 1);
        // Padding does not make a packet longer than the longest.
        if (padded > _device.Mtu && packetLength <= _device.Mtu) padded = _device.Mtu;
        return padded + WireGuardWire.DataOverhead;
    }

    /// <summary>Begins a batch in the peer's current session; one that is not open when it has none, which is asked for then.</summary>
    public WireGuardSendBatch Begin(WireGuardPeer peer, TimeSpan now, IWireGuardSink sink)
    {
        WireGuardEndpoint endpoint = peer.Endpoint;
        if (peer.Keypairs.Current is { } keypair && endpoint != default
            && !keypair.IsExpired(now) && keypair.NextCounter < WireGuardSpec.RejectAfterMessages)
        {
            ChaCha20Poly1305Context context = CipherContexts.Rent();
            if (keypair.TryLoadSendKey(context)) return new WireGuardSendBatch(this, peer, keypair, context, endpoint, now, sink);
            CipherContexts.Return(context);
        }

        Handshakes.Initiate(peer, isRetry: false, now, sink);
        return default;
    }

    /// <summary>What follows from a batch of datagrams.</summary>
    public void Sent(WireGuardPeer peer, Keypair keypair, long bytes, bool hasData, TimeSpan now, IWireGuardSink sink)
    {
        peer.CountSent(bytes);
        peer.Timers.AnySent(now);
        if (hasData) peer.Timers.DataSent(now, _device.Entropy);
        if (keypair.IsDueAfterSending(now)) Handshakes.Initiate(peer, isRetry: false, now, sink);
    }

    /// <summary>Sends an empty packet, or asks for a session to send it in.</summary>
    public void SendKeepalive(WireGuardPeer peer, TimeSpan now, IWireGuardSink sink)
    {
        using WireGuardSendBatch batch = Begin(peer, now, sink);
        Span<byte> datagram = stackalloc byte[WireGuardWire.DataOverhead];
        if (batch.IsOpen && batch.Seal(datagram, 0) > 0) sink.Transmit(batch.Endpoint, datagram);
    }

    /// <summary>Sends one packet, or keeps it until there is a session.</summary>
    public WireGuardSent Send(WireGuardPeer peer, ReadOnlySpan<byte> packet, TimeSpan now, IWireGuardSink sink)
    {
        if (TrySeal(peer, packet, now, sink)) return WireGuardSent.Sent;
        if (peer.Endpoint == default) return WireGuardSent.NoEndpoint;
        if (!TryStage(peer, packet)) return WireGuardSent.Dropped;
        // The session may have come between the two.
        if (peer.Keypairs.Current is { } keypair && !keypair.IsExpired(now)) SendStaged(peer, now, sink);
        return WireGuardSent.Staged;
    }

    /// <summary>Keeps a copy of the packet until there is a session; not for a peer that is nowhere, whose session nothing of ours brings about or ends.</summary>
    public bool TryStage(WireGuardPeer peer, ReadOnlySpan<byte> packet)
    {
        if (peer.Endpoint == default) return false;
        lock (peer.Gate)
        {
            return !peer.IsRemoved && (peer.Staged ??= new StagedPackets()).TryAdd(packet, _device);
        }
    }

    /// <summary>Sends what waited for the session; false when nothing was sent.</summary>
    public bool SendStaged(WireGuardPeer peer, TimeSpan now, IWireGuardSink sink)
    {
        bool any = false;
        while (true)
        {
            (byte[] Buffer, int Length) packet;
            lock (peer.Gate)
            {
                if (peer.Staged is not { } staged || !staged.TryTake(out packet)) break;
            }

            bool sent = TrySeal(peer, packet.Buffer.AsSpan(0, packet.Length), now, sink);
            any |= sent;
            if (!sent) _device.Drops.Count(WireGuardDrop.Unsent);
            StagedPackets.Return(packet.Buffer, _device);
        }

        return any;
    }

    private bool TrySeal(WireGuardPeer peer, ReadOnlySpan<byte> packet, TimeSpan now, IWireGuardSink sink)
    {
        using WireGuardSendBatch batch = Begin(peer, now, sink);
        if (!batch.IsOpen) return false;
        byte[] datagram = ArrayPool<byte>.Shared.Rent(SealedLength(packet.Length));
        packet.CopyTo(datagram.AsSpan(WireGuardWire.DataHeaderLength));
        int length = batch.Seal(datagram, packet.Length);
        if (length > 0) sink.Transmit(batch.Endpoint, datagram.AsSpan(0, length));
        ArrayPool<byte>.Shared.Return(datagram);
        return length > 0;
    }
}

/// <summary>What became of a packet that was to be sent.</summary>
public enum WireGuardSent
{
    /// <summary>It was sent.</summary>
    Sent,

    /// <summary>It waits for the peer's session, which is being made.</summary>
    Staged,

    /// <summary>It was dropped: the peer is nowhere until it comes itself.</summary>
    NoEndpoint,

    /// <summary>Its destination is nobody's.</summary>
    NoPeer,

    /// <summary>It is too long, or too much is waiting already.</summary>
    Dropped,
}
