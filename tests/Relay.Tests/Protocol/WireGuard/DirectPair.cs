using System.Net;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Two devices with a session and nothing between them: what A seals, B opens.</summary>
internal sealed class DirectPair : IWireGuardSink, IDisposable
{
    private const int PacketLength = 1420;
    private const int Segments = 16;

    private static readonly WireGuardEndpoint s_whereA = SimNetwork.Address(1);
    private static readonly WireGuardEndpoint s_whereB = SimNetwork.Address(2);

    private readonly byte[] _run;
    private readonly byte[] _packet = Inner.IPv4("10.0.0.1", "10.0.0.2", new byte[PacketLength - 20]);
    private readonly WireGuardPeer _toB;
    private int _delivered;

    public DirectPair()
    {
        A = new WireGuardDevice(Sim.Options(1, 1));
        B = new WireGuardDevice(Sim.Options(2, 1));
        _toB = A.AddPeer(new() { PublicKey = B.PublicKey, Endpoint = s_whereB, AllowedIPs = [IPNetwork.Parse("10.0.0.2/32")] }, Now)!;
        B.AddPeer(new() { PublicKey = A.PublicKey, Endpoint = s_whereA, AllowedIPs = [IPNetwork.Parse("10.0.0.1/32")] }, Now);
        _run = new byte[Segments * A.SealedLength(PacketLength)];
        A.Send(_packet, Now, this);
        Assert.Equal(1, _delivered);
    }

    public WireGuardDevice A { get; }

    public WireGuardPeer ToB => _toB;

    public WireGuardDevice B { get; }

    public TimeSpan Now { get; } = TimeSpan.FromSeconds(10);

    public int Delivered => Volatile.Read(ref _delivered);

    /// <summary>Gives B a run of datagrams.</summary>
    public void Receive(Span<byte> run, int stride) => B.ReceiveBatch(run, stride, s_whereA, Now, this);

    /// <summary>Sends so many packets in runs; returns how many arrived.</summary>
    public int Send(int packets)
    {
        _delivered = 0;
        var stride = A.SealedLength(PacketLength);
        for (var sent = 0; sent < packets;)
        {
            var length = 0;
            using (var batch = A.BeginSend(_toB, Now, this))
            {
                for (; sent < packets && length < _run.Length; sent++)
                {
                    _packet.CopyTo(_run, length + WireGuardWire.DataHeaderLength);
                    length += batch.Seal(_run.AsSpan(length), PacketLength);
                }
            }

            B.ReceiveBatch(_run.AsSpan(0, length), stride, s_whereA, Now, this);
        }

        return _delivered;
    }

    public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram)
    {
        Span<byte> copy = stackalloc byte[datagram.Length];
        datagram.CopyTo(copy);
        if (to == s_whereA) A.ReceiveBatch(copy, 0, s_whereB, Now, this);
        else B.ReceiveBatch(copy, 0, s_whereA, Now, this);
    }

    public void Deliver(WireGuardPeer peer, Span<byte> packet) => Interlocked.Increment(ref _delivered);

    public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => (from == s_whereA ? B : A).ReceiveHandshake(message, from, Now, this);

    public void Established(WireGuardPeer peer)
    {
    }

    public void Dispose()
    {
        A.Dispose();
        B.Dispose();
    }
}
