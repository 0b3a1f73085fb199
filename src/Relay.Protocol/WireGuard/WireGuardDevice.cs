using System.Net;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// A WireGuard interface without I/O: datagrams and the time go in, what is to be done comes out through an
/// <see cref="IWireGuardSink"/>. <c>now</c> is always a monotonic time since a zero of the driver's choice. Nothing that the
/// network sends makes a method throw. Safe for concurrent use. Caller disposes, when no other call is under way.
/// </summary>
public sealed class WireGuardDevice : IDisposable
{
    private readonly Lock _changes = new();
    private readonly DeviceContext _device;
    private readonly DataSender _sender;
    private readonly DataReceiver _receiver;
    private (long Received, long Sent) _removedBytes;

    /// <summary>A device without peers.</summary>
    /// <exception cref="ArgumentException">The private key is not 32 bytes, the MTU is not 1280 to 65439, or the threshold is negative.</exception>
    public WireGuardDevice(WireGuardDeviceOptions options)
    {
        _device = new DeviceContext(options);
        _sender = new DataSender(_device);
        _receiver = new DataReceiver(_device, _sender);
    }

    /// <summary>Our static public key.</summary>
    public WireGuardPublicKey PublicKey => _device.PublicKey;

    /// <summary>What was dropped, and why.</summary>
    public WireGuardDrops Drops => _device.Drops;

    /// <summary>Handshakes that were completed, with any peer, since the device was made.</summary>
    public long Handshakes => _device.Handshakes;

    /// <summary>Peers that were asked for a new session because their packets were of one that is not ours; see <see cref="WireGuardPeerOptions.Tag"/>.</summary>
    public long Invitations => _device.Invitations.Sent;

    /// <summary>Bytes of all peers as <see cref="WireGuardPeer.ReceivedBytes"/> and <see cref="WireGuardPeer.SentBytes"/> count them, those that were removed included: neither goes back.</summary>
    public (long Received, long Sent) Bytes
    {
        get
        {
            lock (_changes)
            {
                (long received, long sent) = _removedBytes;
                foreach (WireGuardPeer peer in _device.Peers.Values) (received, sent) = (received + peer.ReceivedBytes, sent + peer.SentBytes);
                return (received, sent);
            }
        }
    }

    /// <summary>The peers there are, in no order.</summary>
    public ICollection<WireGuardPeer> Peers => _device.Peers.Values;

    /// <summary>Sessions and handshakes there are.</summary>
    internal int Sessions => _device.Indices.Count;

    /// <summary>
    /// When <see cref="Advance"/> has something to do; null: not until the next packet. A packet may bring it forward, so a driver
    /// that waits looks again now and then: nothing here is finer than a second.
    /// </summary>
    public TimeSpan? NextDeadline => _device.Deadlines.Next is var ticks && ticks != PeerTimers.Never ? new TimeSpan(ticks) : null;

    /// <summary>Adds a peer, with which nothing is exchanged before there is a packet or a persistent keepalive.</summary>
    /// <returns>The peer; null when the key is a peer's already, or our own.</returns>
    /// <exception cref="ArgumentException">The preshared key is neither empty nor 32 bytes, or the keepalive is not 0 to 65535 s.</exception>
    public WireGuardPeer? AddPeer(WireGuardPeerOptions options, TimeSpan now)
    {
        CheckPresharedKey(options.PresharedKey.Length);
        WireGuardPeer.CheckKeepalive(options.PersistentKeepalive);
        var peer = new WireGuardPeer(options, _device);
        lock (_changes)
        {
            if (options.PublicKey == PublicKey || options.PublicKey == default || !_device.Peers.TryAdd(options.PublicKey, peer)) return null;
            _device.Invitations.Add(peer);
            ReplacePrefixes(peer, options.AllowedIPs);
        }

        peer.Timers.StartPersistent(now);
        return peer;
    }

    /// <summary>The peer with this key; null when there is none.</summary>
    public WireGuardPeer? FindPeer(WireGuardPublicKey key) => _device.Peers.GetValueOrDefault(key);

    /// <summary>
    /// Removes a peer, its sessions and its addresses. When it returns, no packet of the peer is delivered any more, but those that another thread
    /// is delivering just now. False when it was removed already.
    /// </summary>
    public bool RemovePeer(WireGuardPeer peer)
    {
        lock (_changes)
        {
            if (peer.IsRemoved || !_device.Peers.TryRemove(KeyValuePair.Create(peer.PublicKey, peer))) return false;
            _device.Invitations.Remove(peer);
            ReplacePrefixes(peer, []);
            _removedBytes = (_removedBytes.Received + peer.ReceivedBytes, _removedBytes.Sent + peer.SentBytes);
            lock (peer.Gate)
            {
                peer.MarkRemoved();
                peer.EndSessions(_device);
            }
        }

        peer.Timers.ClearAll();
        _device.Deadlines.Remove(peer);
        return true;
    }

    /// <summary>Gives the peer other addresses, in one step; taken from other peers that have the same prefix.</summary>
    public void SetAllowedIPs(WireGuardPeer peer, IReadOnlyList<IPNetwork> allowedIPs)
    {
        lock (_changes)
        {
            if (!peer.IsRemoved) ReplacePrefixes(peer, allowedIPs);
        }
    }

    /// <summary>Sets the preshared key of the following handshakes: 32 bytes, or empty for none.</summary>
    /// <exception cref="ArgumentException">It is neither.</exception>
    public void SetPresharedKey(WireGuardPeer peer, ReadOnlySpan<byte> key)
    {
        CheckPresharedKey(key.Length);
        lock (peer.Gate)
        {
            if (peer.IsRemoved || !_device.Peers.ContainsKey(peer.PublicKey)) return;
            peer.SetPresharedKey(key);
        }
    }

    /// <summary>
    /// Takes what a socket has received from one source: one datagram, or several one after the other, all of one length but the last (UDP_GRO).
    /// Packets are decrypted where they lie and delivered in order; handshake messages go to <see cref="IWireGuardSink.Handshake"/>.
    /// </summary>
    /// <param name="datagrams">Their bytes, which are overwritten.</param>
    /// <param name="segmentLength">Length of each; 0 when there is only one.</param>
    /// <param name="source">Where they came from.</param>
    /// <param name="now">The time.</param>
    /// <param name="sink">What is to be done.</param>
    public void ReceiveBatch(Span<byte> datagrams, int segmentLength, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink) =>
        _receiver.Receive(datagrams, segmentLength, source, now, sink);

    /// <summary>Takes one message as <see cref="IWireGuardSink.Handshake"/> gave it; about a tenth of a millisecond of work.</summary>
    public void ReceiveHandshake(ReadOnlySpan<byte> message, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink) =>
        _sender.Handshakes.Receive(message, source, now, sink);

    /// <summary>Says that handshake messages wait longer than they should: for a second, sources have to prove their address first (§5.3).</summary>
    public void DeclareLoad(TimeSpan now) => _device.Load.Declare(now);

    /// <summary>The peer that an inner packet goes to, by its destination; null when it is nobody's, or no IP packet.</summary>
    public WireGuardPeer? Route(ReadOnlySpan<byte> packet) =>
        InnerPacket.TryReadDestination(packet, out InnerAddress destination) ? _device.AllowedIPs.Find(destination) : null;

    /// <summary>Length of the datagram that a packet of this length becomes, in bytes: 32 more, and padding to a multiple of 16 that is not beyond the MTU.</summary>
    public int SealedLength(int packetLength) => _sender.SealedLength(packetLength);

    /// <summary>
    /// Begins to send to a peer. Without a session the batch is not open: one is asked for, and <see cref="TryStage"/> keeps packets until it is there.
    /// </summary>
    /// <param name="peer">To whom.</param>
    /// <param name="now">The time.</param>
    /// <param name="sink">Where handshake messages go, also when the batch ends.</param>
    /// <returns>To be disposed by this thread.</returns>
    public WireGuardSendBatch BeginSend(WireGuardPeer peer, TimeSpan now, IWireGuardSink sink) => _sender.Begin(peer, now, sink);

    /// <summary>Keeps a copy of an inner packet until the peer has a session, then transmits it. False when too much is waiting, or the peer is nowhere.</summary>
    public bool TryStage(WireGuardPeer peer, ReadOnlySpan<byte> packet) => packet.Length <= WireGuardLimits.LongestPacket && _sender.TryStage(peer, packet);

    /// <summary>Sends one inner packet where it belongs: the whole way of the above for who has no batches.</summary>
    public WireGuardSent Send(ReadOnlySpan<byte> packet, TimeSpan now, IWireGuardSink sink)
    {
        if (Route(packet) is not { } peer) return WireGuardSent.NoPeer;
        return packet.Length <= WireGuardLimits.LongestPacket ? _sender.Send(peer, packet, now, sink) : WireGuardSent.Dropped;
    }

    /// <summary>Does what is due: repeats, rekeying, keepalives, wiping of old keys.</summary>
    public void Advance(TimeSpan now, IWireGuardSink sink)
    {
        while (_device.Deadlines.TakeDue(now.Ticks) is { } peer)
        {
            if (peer.IsRemoved) continue;
            Do(peer, peer.Timers.TakeDue(now), now, sink);
            // An entry may have been too early; and what was done may have set other timers while the peer was out of the heap.
            Interlocked.MemoryBarrier();
            if (peer.Timers.Earliest is var next && next != PeerTimers.Never) _device.Deadlines.Schedule(peer, next);
        }
    }

    /// <summary>Removes all peers and wipes our key.</summary>
    public void Dispose()
    {
        foreach (WireGuardPeer peer in Peers) RemovePeer(peer);
        _device.Dispose();
    }

    private static void CheckPresharedKey(int length)
    {
        if (length is not (0 or WireGuardWire.KeyLength)) throw new ArgumentException("A preshared key is 32 bytes.");
    }

    private void Do(WireGuardPeer peer, PeerDuties due, TimeSpan now, IWireGuardSink sink)
    {
        if (due.HasFlag(PeerDuties.Wipe))
        {
            lock (peer.Gate) peer.EndSessions(_device);
        }

        if (due.HasFlag(PeerDuties.Retransmit)) _sender.Handshakes.Retry(peer, now, sink);
        if (due.HasFlag(PeerDuties.NewHandshake)) _sender.Handshakes.Initiate(peer, isRetry: false, now, sink);
        if (due.HasFlag(PeerDuties.Keepalive)) _sender.SendKeepalive(peer, now, sink);
        if (due.HasFlag(PeerDuties.AnotherKeepalive)) peer.Timers.DataReceived(now);
    }

    private void ReplacePrefixes(WireGuardPeer peer, IReadOnlyList<IPNetwork> allowedIPs)
    {
        InnerPrefix[] prefixes = [.. allowedIPs.Select(InnerPrefix.From).Distinct()];
        foreach (InnerPrefix prefix in prefixes)
        {
            if (_device.AllowedIPs.OwnerOf(prefix) is { } other && other != peer)
                other.Prefixes = [.. other.Prefixes.Where(p => p != prefix)];
        }

        _device.AllowedIPs.Replace(peer, peer.Prefixes, prefixes);
        peer.Prefixes = prefixes;
    }
}
