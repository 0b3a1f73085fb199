using System.Buffers.Binary;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// Packets to one peer that are sealed one after the other. Belongs to the thread that began it, which disposes it (a
/// <c>using</c> declaration, not a copy): timers, counters and, if it is time, the next handshake follow then, once for all
/// packets. Batches may be open within each other.
/// </summary>
public ref struct WireGuardSendBatch
{
    private readonly DataSender _sender;
    private readonly WireGuardPeer _peer;
    private readonly Keypair _keypair;
    private readonly IWireGuardSink _sink;
    private readonly TimeSpan _now;
    private ChaCha20Poly1305Context? _context;
    private long _bytes;
    private bool _hasData;

    internal WireGuardSendBatch(DataSender sender, WireGuardPeer peer, Keypair keypair, ChaCha20Poly1305Context context, WireGuardEndpoint endpoint, TimeSpan now, IWireGuardSink sink)
    {
        _sender = sender;
        _peer = peer;
        _keypair = keypair;
        _context = context;
        _sink = sink;
        _now = now;
        Endpoint = endpoint;
    }

    /// <summary>False: there is no session to send in, and the batch is empty.</summary>
    public readonly bool IsOpen => _context is not null;

    /// <summary>Where all datagrams of the batch go.</summary>
    public WireGuardEndpoint Endpoint { get; }

    /// <summary>
    /// Makes a packet a datagram, in place: the packet lies at 16 of <paramref name="datagram"/>, the header is written before it, padding and tag behind.
    /// Packets of one length become datagrams of one length.
    /// </summary>
    /// <param name="datagram">Room for <see cref="WireGuardDevice.SealedLength"/> bytes or more.</param>
    /// <param name="packetLength">Length of the packet in bytes; 0 makes a keepalive.</param>
    /// <returns>Length of the datagram; 0, with nothing to send, when the session has no counter left.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The packet is too long, or there is not enough room.</exception>
    /// <exception cref="ObjectDisposedException">The batch is over.</exception>
    public int Seal(scoped Span<byte> datagram, int packetLength)
    {
        ObjectDisposedException.ThrowIf(_context is null, typeof(WireGuardSendBatch));
        ArgumentOutOfRangeException.ThrowIfNegative(packetLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(packetLength, WireGuardLimits.LongestPacket);
        int length = _sender.SealedLength(packetLength);
        ArgumentOutOfRangeException.ThrowIfLessThan(datagram.Length, length, nameof(datagram));
        if (!_keypair.TryTakeCounter(out ulong counter)) return 0;
        datagram = datagram[..length];
        WireGuardWire.WriteType(datagram, WireGuardMessageType.TransportData);
        BinaryPrimitives.WriteUInt32LittleEndian(datagram[WireGuardWire.Receiver..], _keypair.RemoteIndex);
        BinaryPrimitives.WriteUInt64LittleEndian(datagram[WireGuardWire.DataCounter..], counter);
        Span<byte> text = datagram[WireGuardWire.DataHeaderLength..^WireGuardWire.TagLength];
        text[packetLength..].Clear();
        _context.Encrypt(counter, [], text, datagram[^WireGuardWire.TagLength..]);
        _bytes += length;
        _hasData |= packetLength > 0;
        return length;
    }

    /// <summary>Ends the batch.</summary>
    public void Dispose()
    {
        if (_context is not { } context) return;
        _context = null;
        CipherContexts.Return(context);
        if (_bytes > 0) _sender.Sent(_peer, _keypair, _bytes, _hasData, _now, _sink);
    }
}
