using System.Net;
using System.Security.Cryptography;
using System.Text;
using Relay.Protocol.Crypto;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Keys and options that are the same each time for the same numbers.</summary>
internal static class Sim
{
    public static readonly DateTimeOffset Epoch = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);

    public static byte[] PrivateKey(int n) => SHA256.HashData(Encoding.ASCII.GetBytes($"device {n}"));

    public static WireGuardPublicKey PublicKey(int n)
    {
        using var key = X25519PrivateKey.FromScalar(PrivateKey(n));
        return new WireGuardPublicKey(key.PublicKey.Span);
    }

    public static WireGuardDeviceOptions Options(int key, int seed, int loadThreshold = int.MaxValue)
    {
        var random = new Random((key * 7919) + (seed * 31));
        return new WireGuardDeviceOptions
        {
            PrivateKey = PrivateKey(key),
            Epoch = Epoch,
            LoadThreshold = loadThreshold,
            Entropy = bytes =>
            {
                lock (random)
                    random.NextBytes(bytes);
            },
        };
    }
}

/// <summary>One end on a <see cref="SimNetwork"/>: a device, where it is, and what it was given.</summary>
internal sealed class SimNode : IWireGuardSink, IDisposable
{
    private readonly SimNetwork _network;

    public SimNode(SimNetwork network, int number, int seed, int loadThreshold = int.MaxValue)
    {
        _network = network;
        Number = number;
        At = SimNetwork.Address(number);
        Device = new WireGuardDevice(Sim.Options(number, seed, loadThreshold));
    }

    public int Number { get; }

    /// <summary>Where its datagrams come from, and where it is reached.</summary>
    public WireGuardEndpoint At { get; set; }

    public WireGuardDevice Device { get; }

    /// <summary>Payloads delivered, with when.</summary>
    public List<(TimeSpan When, string Text)> Delivered { get; } = [];

    public IEnumerable<string> Texts => Delivered.Select(static d => d.Text);

    /// <summary>Datagrams it sent, with when.</summary>
    public List<(TimeSpan When, byte[] Bytes)> Sent { get; } = [];

    /// <summary>When sessions were established.</summary>
    public List<TimeSpan> Sessions { get; } = [];

    public WireGuardPeer Add(SimNode other, Func<WireGuardPeerOptions, WireGuardPeerOptions>? change = null, bool knowsWhere = true)
    {
        var options = new WireGuardPeerOptions
        {
            PublicKey = other.Device.PublicKey,
            Endpoint = knowsWhere ? other.At : default,
            AllowedIPs = [IPNetwork.Parse($"10.0.0.{other.Number}/32"), IPNetwork.Parse($"fd00::{other.Number}/128")],
        };
        return Device.AddPeer(change is null ? options : change(options), _network.Now)!;
    }

    public WireGuardSent Send(SimNode to, string text, bool six = false)
    {
        var payload = Encoding.ASCII.GetBytes(text);
        var packet = six
            ? Inner.IPv6($"fd00::{Number}", $"fd00::{to.Number}", payload)
            : Inner.IPv4($"10.0.0.{Number}", $"10.0.0.{to.Number}", payload);
        return Device.Send(packet, _network.Now, this);
    }

    public int CountSent(WireGuardMessageType type) => Sent.Count(s => WireGuardWire.TypeOf(s.Bytes) == type);

    public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram)
    {
        Sent.Add((_network.Now, datagram.ToArray()));
        _network.Send(At, to, datagram);
    }

    public void Deliver(WireGuardPeer peer, Span<byte> packet) => Delivered.Add((_network.Now, Inner.Text(packet)));

    public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => Device.ReceiveHandshake(message, from, _network.Now, this);

    public void Established(WireGuardPeer peer) => Sessions.Add(_network.Now);

    public void Dispose() => Device.Dispose();
}

/// <summary>Datagrams on their way between nodes, with what can happen to them, on a time of its own. The seed decides everything.</summary>
internal sealed class SimNetwork(int seed) : IDisposable
{
    private readonly Random _random = new(seed);
    private readonly PriorityQueue<(WireGuardEndpoint From, WireGuardEndpoint To, byte[] Bytes), (TimeSpan At, long Order)> _underway = new();
    private readonly List<SimNode> _nodes = [];
    private long _order;

    public TimeSpan Now { get; private set; } = TimeSpan.FromSeconds(1000);

    /// <summary>Parts of all datagrams that are lost, and that come twice.</summary>
    public double Loss { get; set; }

    public double Duplication { get; set; }

    /// <summary>On top of 10 ms, up to so much: datagrams overtake each other.</summary>
    public TimeSpan Jitter { get; set; }

    /// <summary>Sees every datagram; false loses it.</summary>
    public Func<WireGuardEndpoint, WireGuardEndpoint, byte[], bool> Passes { get; set; } = static (_, _, _) => true;

    public static WireGuardEndpoint Address(int number, ushort port = 51820) => new([192, 0, 2, (byte)number], port);

    /// <param name="generation">Another node with the same key draws other numbers.</param>
    public SimNode Node(int number, int loadThreshold = int.MaxValue, int generation = 0)
    {
        var node = new SimNode(this, number, seed + (1000 * generation), loadThreshold);
        _nodes.Add(node);
        return node;
    }

    /// <summary>Two nodes that know each other, the first also where the second is.</summary>
    public (SimNode A, SimNode B) Pair(bool bothKnow = true)
    {
        SimNode a = Node(1), b = Node(2);
        a.Add(b);
        b.Add(a, knowsWhere: bothKnow);
        return (a, b);
    }

    public void Send(WireGuardEndpoint from, WireGuardEndpoint to, ReadOnlySpan<byte> datagram)
    {
        var bytes = datagram.ToArray();
        if (!Passes(from, to, bytes) || _random.NextDouble() < Loss)
            return;
        var copies = _random.NextDouble() < Duplication ? 2 : 1;
        for (var i = 0; i < copies; i++)
            _underway.Enqueue((from, to, bytes.ToArray()), (Now + TimeSpan.FromMilliseconds(10) + (Jitter * _random.NextDouble()), _order++));
    }

    public void Run(double seconds)
    {
        var end = Now + TimeSpan.FromSeconds(seconds);
        while (Next() is { } next && next <= end)
        {
            if (next > Now)
                Now = next;
            foreach (var node in _nodes)
                node.Device.Advance(Now, node);
            while (_underway.TryPeek(out _, out var at) && at.At <= Now)
            {
                var (from, to, bytes) = _underway.Dequeue();
                if (_nodes.Find(n => n.At == to) is { } node)
                    node.Device.ReceiveBatch(bytes, 0, from, Now, node);
            }
        }

        Now = end;
    }

    public void Dispose() => _nodes.ForEach(static n => n.Dispose());

    private TimeSpan? Next()
    {
        TimeSpan? next = _underway.TryPeek(out _, out var at) ? at.At : null;
        foreach (var node in _nodes)
        {
            if (node.Device.NextDeadline is { } due && (next is null || due < next))
                next = due;
        }

        return next;
    }
}
