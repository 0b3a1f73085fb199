using System.Buffers.Binary;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>Transport data on its way in, whitepaper §5.4.6, §6. Safe for concurrent use.</summary>
internal sealed class DataReceiver(DeviceContext device, DataSender sender)
{
    /// <summary>Takes a run of datagrams from one source; see <see cref="WireGuardDevice.ReceiveBatch"/>.</summary>
    public void Receive(Span<byte> datagrams, int segmentLength, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink)
    {
        if (segmentLength <= 0) segmentLength = datagrams.Length;
        ChaCha20Poly1305Context? context = null;
        var run = default(Run);
        try
        {
            while (!datagrams.IsEmpty)
            {
                Span<byte> datagram = datagrams[..Math.Min(segmentLength, datagrams.Length)];
                datagrams = datagrams[datagram.Length..];
                switch (WireGuardWire.TypeOf(datagram))
                {
                    case WireGuardMessageType.None:
                        device.Drops.Count(WireGuardDrop.Malformed);
                        break;
                    case WireGuardMessageType.TransportData:
                        context ??= CipherContexts.Rent();
                        ReceiveData(datagram, context, ref run, source, now, sink);
                        break;
                    default:
                        sink.Handshake(source, datagram);
                        break;
                }
            }
        }
        finally
        {
            run.Keypair?.Peer.CountReceived(run.Bytes);
            if (context is not null) CipherContexts.Return(context);
        }
    }

    private void ReceiveData(Span<byte> datagram, ChaCha20Poly1305Context context, ref Run run, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink)
    {
        uint receiver = BinaryPrimitives.ReadUInt32LittleEndian(datagram[WireGuardWire.Receiver..]);
        if ((run.Keypair is null || run.Keypair.LocalIndex != receiver) && !TryStartRun(receiver, datagram, context, ref run, source, now, sink)) return;
        Keypair keypair = run.Keypair!;
        ulong counter = BinaryPrimitives.ReadUInt64LittleEndian(datagram[WireGuardWire.DataCounter..]);
        Span<byte> text = datagram[WireGuardWire.DataHeaderLength..^WireGuardWire.TagLength];
        if (!context.TryDecrypt(counter, [], text, datagram[^WireGuardWire.TagLength..]))
        {
            device.Drops.Count(WireGuardDrop.NotAuthentic);
            return;
        }

        if (!keypair.TryAccept(counter))
        {
            device.Drops.Count(WireGuardDrop.Replayed);
            return;
        }

        run.Bytes += datagram.Length;
        if (!run.IsAuthentic)
        {
            run.IsAuthentic = true;
            Authenticated(keypair, source, now, sink);
        }

        if (!text.IsEmpty) Deliver(text, ref run, now, sink);
    }

    // Looks up the session of the following datagrams and takes its key.
    private bool TryStartRun(
        uint receiver, ReadOnlySpan<byte> datagram, ChaCha20Poly1305Context context, ref Run run, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink)
    {
        run.Keypair?.Peer.CountReceived(run.Bytes);
        run = new Run { Looked = run.Looked };
        if (device.Indices.Find(receiver) is not Keypair keypair)
        {
            device.Drops.Count(WireGuardDrop.UnknownIndex);
            if (run.Looked != receiver && device.Invitations.TryLook(now))
            {
                run.Looked = receiver;
                sink.Handshake(source, datagram[..WireGuardWire.DataOverhead]);
            }

            return false;
        }

        if (keypair.IsExpired(now) || !keypair.TryLoadReceiveKey(context))
        {
            device.Drops.Count(WireGuardDrop.Expired);
            return false;
        }

        run.Keypair = keypair;
        return true;
    }

    // What follows from the first good datagram of a run; before its packet is delivered, which may be answered at once.
    private void Authenticated(Keypair keypair, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink)
    {
        WireGuardPeer peer = keypair.Peer;
        peer.MoveTo(source);
        peer.Timers.AnyReceived(now);
        if (peer.Keypairs.Next == keypair)
        {
            bool confirmed;
            lock (peer.Gate) confirmed = peer.Keypairs.TryConfirm(keypair);
            if (confirmed)
            {
                peer.HandshakeEnded(now);
                device.CountHandshake();
                sink.Established(peer);
                sender.SendStaged(peer, now, sink);
            }
        }

        if (keypair.TryAskAfterReceiving(now)) sender.Handshakes.Initiate(peer, isRetry: false, now, sink);
    }

    private void Deliver(Span<byte> padded, ref Run run, TimeSpan now, IWireGuardSink sink)
    {
        WireGuardPeer peer = run.Keypair!.Peer;
        if (!run.HasData)
        {
            run.HasData = true;
            peer.Timers.DataReceived(now);
        }

        if (!InnerPacket.TryRead(padded, out int length, out InnerAddress source))
        {
            device.Drops.Count(WireGuardDrop.NotAPacket);
            return;
        }

        if (device.AllowedIPs.Find(source) != peer)
        {
            device.Drops.Count(WireGuardDrop.NotAllowed);
            return;
        }

        sink.Deliver(peer, padded[..length]);
    }

    // Datagrams that follow each other in one session.
    private struct Run
    {
        public Keypair? Keypair;
        public long Bytes;
        public bool IsAuthentic;
        public bool HasData;

        // The unknown session that was looked at last: once for all datagrams of a buffer. One in 2^32 is 0, and never is.
        public uint Looked;
    }
}
