using Relay.Protocol.WireGuard;

namespace Relay.Bench.WireGuard;

/// <summary>Gives a gateway sessions whose other ends are gone at once, so that only the gateway's memory is left.</summary>
internal sealed class SessionsAtRest(WireGuardDevice gateway) : IWireGuardSink
{
    private static readonly WireGuardEndpoint s_client = new([192, 0, 2, 1], 1);
    private static readonly WireGuardEndpoint s_gateway = new([192, 0, 2, 2], 2);

    private WireGuardDevice? _client;

    public int Established { get; private set; }

    private static TimeSpan Now => TimeSpan.FromSeconds(10);

    public void Add(int count)
    {
        for (var i = 0; i < count; i++)
        {
            using var client = CorePair.NewDevice();
            _client = client;
            gateway.AddPeer(new() { PublicKey = client.PublicKey }, Now);
            client.AddPeer(new() { PublicKey = gateway.PublicKey, Endpoint = s_gateway, PersistentKeepalive = TimeSpan.FromSeconds(25) }, Now);
            client.Advance(Now, this);
        }
    }

    public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram)
    {
        var copy = datagram.ToArray();
        if (to == s_gateway) gateway.ReceiveBatch(copy, 0, s_client, Now, this);
        else _client!.ReceiveBatch(copy, 0, s_gateway, Now, this);
    }

    public void Deliver(WireGuardPeer peer, Span<byte> packet)
    {
    }

    public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => (from == s_client ? gateway : _client!).ReceiveHandshake(message, from, Now, this);

    void IWireGuardSink.Established(WireGuardPeer peer) => Established++;
}
