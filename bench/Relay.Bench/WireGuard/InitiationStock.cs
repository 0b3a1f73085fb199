using Relay.Protocol.WireGuard;

namespace Relay.Bench.WireGuard;

/// <summary>
/// Clients that each have written one initiation to a gateway that knows them, so that only the gateway's work is left:
/// reading it, answering, deriving keys, and then the first packet that confirms them.
/// </summary>
internal sealed class InitiationStock : IWireGuardSink, IDisposable
{
    private readonly List<WireGuardDevice> _clients = [];
    private readonly List<byte[]> _initiations = [];
    private readonly List<byte[]> _responses = [];
    private readonly List<byte[]> _confirmations = [];
    private WireGuardDevice _turn;
    private TimeSpan _now = TimeSpan.FromSeconds(10);

    public InitiationStock(int count)
    {
        Gateway = CorePair.NewDevice();
        _turn = Gateway;
        for (var i = 0; i < count; i++)
        {
            var client = CorePair.NewDevice();
            _clients.Add(client);
            Gateway.AddPeer(new() { PublicKey = client.PublicKey }, _now);
            // A persistent keepalive asks for a session at once.
            client.AddPeer(new() { PublicKey = Gateway.PublicKey, Endpoint = new([192, 0, 2, 2], 2), PersistentKeepalive = TimeSpan.FromSeconds(25) }, _now);
        }
    }

    public WireGuardDevice Gateway { get; }

    public int Established { get; private set; }

    /// <summary>All clients initiate, for the first time or because their session is too old; not what is measured.</summary>
    public void Initiate()
    {
        _now += TimeSpan.FromSeconds(200);
        _initiations.Clear();
        _responses.Clear();
        _confirmations.Clear();
        foreach (var client in _clients)
            client.Advance(_now, this);
        if (_initiations.Count != _clients.Count)
            throw new InvalidOperationException($"{_initiations.Count} initiations of {_clients.Count} clients");
    }

    /// <summary>The gateway answers all initiations.</summary>
    public void Answer()
    {
        _turn = Gateway;
        for (var i = 0; i < _initiations.Count; i++)
            Gateway.ReceiveBatch(_initiations[i], 0, Source(i), _now, this);
    }

    /// <summary>The clients take the responses; not what is measured.</summary>
    public void Confirm()
    {
        for (var i = 0; i < _clients.Count; i++)
        {
            _turn = _clients[i];
            _clients[i].ReceiveBatch(_responses[i], 0, new([192, 0, 2, 2], 2), _now, this);
        }

        Established = 0;
    }

    /// <summary>The gateway takes the first packet of each session.</summary>
    public void Begin()
    {
        _turn = Gateway;
        for (var i = 0; i < _confirmations.Count; i++)
            Gateway.ReceiveBatch(_confirmations[i], 0, Source(i), _now, this);
    }

    public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram)
    {
        var kept = WireGuardWire.TypeOf(datagram) switch
        {
            WireGuardMessageType.HandshakeInitiation => _initiations,
            WireGuardMessageType.HandshakeResponse => _responses,
            _ => _confirmations,
        };
        kept.Add(datagram.ToArray());
    }

    public void Deliver(WireGuardPeer peer, Span<byte> packet)
    {
    }

    public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => _turn.ReceiveHandshake(message, from, _now, this);

    void IWireGuardSink.Established(WireGuardPeer peer) => Established++;

    public void Dispose()
    {
        _clients.ForEach(static c => c.Dispose());
        Gateway.Dispose();
    }

    private static WireGuardEndpoint Source(int i) => new([10, (byte)(i >> 16), (byte)(i >> 8), (byte)i], 1);
}
