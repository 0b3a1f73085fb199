using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard.Peers;

/// <summary>The least that a driver can be: a device, a UDP socket, and a timer that looks every 20 ms.</summary>
internal sealed class WireGuardLoop : IWireGuardSink, IAsyncDisposable
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private readonly NetworkNamespace _network;
    private readonly CancellationTokenSource _end = new();
    private readonly Task _timer;
    private Socket _socket;
    private Task _receiving;
    private long _skipped;

    private WireGuardLoop(NetworkNamespace network, IPEndPoint local, int key, int loadThreshold)
    {
        _network = network;
        Device = new WireGuardDevice(new WireGuardDeviceOptions { PrivateKey = Sim.PrivateKey(key), Epoch = TimeProvider.System.GetUtcNow(), LoadThreshold = loadThreshold });
        (_socket, _receiving) = Bind(local);
        _timer = AdvanceAsync();
    }

    public WireGuardDevice Device { get; }

    public IPEndPoint Local => (IPEndPoint)_socket.LocalEndPoint!;

    public TimeSpan Now => Stopwatch.GetElapsedTime(_start) + new TimeSpan(Volatile.Read(ref _skipped));

    public ConcurrentQueue<byte[]> Delivered { get; } = new();

    public ConcurrentQueue<WireGuardMessageType> Received { get; } = new();

    public ConcurrentQueue<WireGuardMessageType> Sent { get; } = new();

    public int Sessions;

    /// <summary>Sees each datagram before it is sent; true: the test has taken it.</summary>
    public Func<byte[], bool> Intercepts { get; set; } = static _ => false;

    public static WireGuardLoop Start(NetworkNamespace network, IPEndPoint local, int key, int loadThreshold = 1000) => new(network, local, key, loadThreshold);

    /// <summary>The other side, at an address of the loopback.</summary>
    public WireGuardPeer Add(WireGuardEndpoint where, byte[]? presharedKey = null) => Device.AddPeer(
        new()
        {
            PublicKey = WireGuardGo.PublicKey,
            Endpoint = where,
            PresharedKey = presharedKey,
            AllowedIPs = [IPNetwork.Parse($"{WireGuardGo.Inside}/32"), IPNetwork.Parse($"{WireGuardGo.Inside6}/128")],
        },
        Now)!;

    /// <summary>Moves this side's time on; the other side's stays.</summary>
    public void Skip(TimeSpan by) => Interlocked.Add(ref _skipped, by.Ticks);

    /// <summary>Goes to another address and port.</summary>
    public async Task MoveAsync(IPEndPoint local)
    {
        var (old, receiving) = (_socket, _receiving);
        (_socket, _receiving) = Bind(local);
        old.Dispose();
        await receiving;
    }

    public WireGuardSent Send(byte[] packet) => Device.Send(packet, Now, this);

    public void SendRaw(ReadOnlySpan<byte> datagram, IPEndPoint to) => _socket.SendTo(datagram, SocketFlags.None, to);

    /// <summary>Sends echo requests until one is answered: the tunnel may be on its way.</summary>
    public Task PingAsync(int identifier, bool six = false)
    {
        var (packet, sequence) = (six ? Echo.Request6(identifier, 1) : Echo.Request(identifier, 1), 0);
        return Eventually.TrueAsync(
            () =>
            {
                if (sequence++ % 200 == 0)
                    Send(packet);
                return Delivered.Any(p => Echo.IsReply(p, identifier));
            },
            () => $"no reply to {identifier}; dropped: {string.Join(", ", Enum.GetValues<WireGuardDrop>().Where(d => Device.Drops[d] > 0).Select(d => $"{d} {Device.Drops[d]}"))}");
    }

    public void Transmit(in WireGuardEndpoint to, ReadOnlySpan<byte> datagram)
    {
        Sent.Enqueue(WireGuardWire.TypeOf(datagram));
        if (!Intercepts(datagram.ToArray()))
            SendRaw(datagram, to.ToIPEndPoint()!);
    }

    public void Deliver(WireGuardPeer peer, Span<byte> packet) => Delivered.Enqueue(packet.ToArray());

    public void Handshake(in WireGuardEndpoint from, ReadOnlySpan<byte> message) => Device.ReceiveHandshake(message, from, Now, this);

    public void Established(WireGuardPeer peer) => Interlocked.Increment(ref Sessions);

    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        _socket.Dispose();
        await _receiving;
        await _timer;
        Device.Dispose();
        _end.Dispose();
    }

    private (Socket Socket, Task Receiving) Bind(IPEndPoint local)
    {
        var socket = _network.CreateSocket(local.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(local);
        return (socket, ReceiveAsync(socket));
    }

    private async Task ReceiveAsync(Socket socket)
    {
        var buffer = new byte[65536];
        var any = new IPEndPoint(socket.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
        try
        {
            while (true)
            {
                var received = await socket.ReceiveFromAsync(buffer, SocketFlags.None, any, _end.Token);
                Received.Enqueue(WireGuardWire.TypeOf(buffer.AsSpan(0, received.ReceivedBytes)));
                Device.ReceiveBatch(buffer.AsSpan(0, received.ReceivedBytes), 0, new WireGuardEndpoint((IPEndPoint)received.RemoteEndPoint), Now, this);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
        {
            // The socket was closed.
        }
    }

    private async Task AdvanceAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20), TimeProvider.System);
        try
        {
            while (await timer.WaitForNextTickAsync(_end.Token))
                Device.Advance(Now, this);
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }
}
