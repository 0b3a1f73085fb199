using System.Net;
using System.Security.Cryptography;
using Relay.Protocol.WireGuard;

namespace Relay.Bench.WireGuard;

/// <summary>A device that stands for the gateway and one that stands for a client, with a session and nothing between them.</summary>
internal sealed class CorePair : IWireGuardSink, IDisposable
{
    public const int PacketLength = 1420;

    /// <summary>Runs that the client seals ahead for <see cref="OpenPrepared"/>.</summary>
    public const int Prepared = 32;

    // As many segments as one super-packet of 64 KiB has.
    private const int Segments = 44;

    private static readonly WireGuardEndpoint s_client = new([192, 0, 2, 1], 1);
    private static readonly WireGuardEndpoint s_gateway = new([192, 0, 2, 2], 2);

    private readonly WireGuardDevice _client = NewDevice();
    private readonly WireGuardPeer _toClient;
    private readonly byte[] _run;
    private readonly byte[][] _prepared;
    private readonly int _stride;

    /// <param name="otherPeers">Peers that the gateway has besides, each with an address of its own.</param>
    public CorePair(int otherPeers)
    {
        Gateway = NewDevice();
        AddPeers(Gateway, otherPeers);
        _client.AddPeer(new() { PublicKey = Gateway.PublicKey, Endpoint = s_gateway, AllowedIPs = [IPNetwork.Parse("0.0.0.0/0")] }, Now);
        _toClient = Gateway.AddPeer(new() { PublicKey = _client.PublicKey, AllowedIPs = [IPNetwork.Parse("10.0.0.1/32")] }, Now)!;
        _client.Send(Packet([10, 0, 0, 1], [10, 0, 0, 2]), Now, this);
        _stride = Gateway.SealedLength(PacketLength);
        _run = new byte[Segments * _stride];
        _prepared = [.. Enumerable.Range(0, Prepared).Select(_ => new byte[Segments * _stride])];
    }

    public WireGuardDevice Gateway { get; }

    public long Delivered { get; private set; }

    private static TimeSpan Now => TimeSpan.FromSeconds(10);

    /// <summary>Bytes of packets in a run.</summary>
    public static long RunBytes => Segments * PacketLength;

    public static int RunPackets => Segments;

    /// <summary>The gateway routes the packet once and seals a run of its segments where they lie, as after reading a super-packet.</summary>
    public void SealRun()
    {
        var peer = Gateway.Route(Packet([10, 0, 0, 2], [10, 0, 0, 1]))!;
        using var batch = Gateway.BeginSend(peer, Now, this);
        for (var i = 0; i < Segments; i++)
            batch.Seal(_run.AsSpan(i * _stride), PacketLength);
    }

    /// <summary>The client seals runs for <see cref="OpenPrepared"/>; not what is measured.</summary>
    public void Prepare()
    {
        var packet = Packet([10, 0, 0, 1], [10, 0, 0, 2]);
        using var batch = _client.BeginSend(_client.FindPeer(Gateway.PublicKey)!, Now, this);
        foreach (var run in _prepared)
        {
            for (var i = 0; i < Segments; i++)
            {
                packet.CopyTo(run, (i * _stride) + WireGuardWire.DataHeaderLength);
                batch.Seal(run.AsSpan(i * _stride), PacketLength);
            }
        }
    }

    /// <summary>The gateway opens the prepared runs, with everything that follows: replay, source address, delivery.</summary>
    public void OpenPrepared()
    {
        foreach (var run in _prepared)
            Gateway.ReceiveBatch(run, _stride, s_client, Now, this);
    }

    /// <summary>Peers that nothing is exchanged with.</summary>
    public static void AddPeers(WireGuardDevice device, int count)
    {
        var key = new byte[WireGuardPublicKey.Length];
        for (var i = 0; i < count; i++)
        {
            RandomNumberGenerator.Fill(key);
            byte[] four = [100, (byte)(124 + (i >> 16)), (byte)(i >> 8), (byte)i], six = [0xfd, 0x62, 0x6f, 0x72, 0x64, 0x65, 0x72, 0x30, 0, 0, 0, 0, 0, .. four[1..]];
            device.AddPeer(new() { PublicKey = new WireGuardPublicKey(key), AllowedIPs = [new IPNetwork(new IPAddress(four), 32), new IPNetwork(new IPAddress(six), 128)] }, Now);
        }
    }

    public static WireGuardDevice NewDevice() =>
        new(new WireGuardDeviceOptions { PrivateKey = RandomNumberGenerator.GetBytes(32), Epoch = TimeProvider.System.GetUtcNow(), LoadThreshold = int.MaxValue });

    public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram)
    {
        var copy = datagram.ToArray();
        if (to == s_gateway) Gateway.ReceiveBatch(copy, 0, s_client, Now, this);
        else _client.ReceiveBatch(copy, 0, s_gateway, Now, this);
    }

    public void Deliver(WireGuardPeer peer, Span<byte> packet) => Delivered++;

    public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => (from == s_client ? Gateway : _client).ReceiveHandshake(message, from, Now, this);

    public void Established(WireGuardPeer peer)
    {
    }

    public void Dispose()
    {
        Gateway.Dispose();
        _client.Dispose();
    }

    private static readonly byte[] s_packet = new byte[PacketLength];

    private static byte[] Packet(ReadOnlySpan<byte> source, ReadOnlySpan<byte> destination)
    {
        (s_packet[0], s_packet[2], s_packet[3]) = (0x45, PacketLength >> 8, PacketLength & 0xff);
        source.CopyTo(s_packet.AsSpan(12));
        destination.CopyTo(s_packet.AsSpan(16));
        return s_packet;
    }
}
