using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Flows;
using Relay.Gateway.WireGuard.Loops;
using Relay.Gateway.WireGuard.Setup;
using Relay.Gateway.WireGuard.Tun;
using Relay.Gateway.WireGuard.Udp;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard;

/// <summary>
/// The gateway's WireGuard, running: sockets outside, the interface inside, and the flows that end here. Made by <see cref="TryStartAsync"/>; caller
/// disposes, which resets all flows and takes everything back from the kernel.
/// </summary>
internal sealed partial class WireGuardTunnel : IAsyncDisposable
{
    private static readonly TimeSpan s_farewell = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource _stop = new();
    private readonly Stack<IDisposable> _owned = new();
    private readonly List<PacketThread> _threads = [];
    private readonly List<Task> _tasks = [];
    private readonly List<TcpFlows> _tcp = [];
    private readonly List<InboundLoop> _inbound = [];
    private readonly HandshakeQueue _handshakes = new();
    private readonly LocalAddresses _addresses = new();
    private readonly WireGuardOptions _options;
    private readonly TunnelClock _clock;
    private readonly ILogger _logger;
    private readonly WireGuardDevice _device;
    private readonly DeviceTable _devices;
    private readonly FlowAdmission _admission;
    private UdpFlows? _udp;

    private WireGuardTunnel(WireGuardOptions options, ReadOnlyMemory<byte> privateKey, IFlows flows, TunnelClock clock, ILogger logger)
    {
        (_options, _clock, _logger) = (options, clock, logger);
        _device = new WireGuardDevice(new WireGuardDeviceOptions { PrivateKey = privateKey, Epoch = clock.Epoch, Mtu = options.Mtu });
        _devices = new DeviceTable(_device, options, clock, logger);
        _admission = new FlowAdmission(_devices, flows, options, clock, logger);
    }

    /// <summary>Where datagrams come in.</summary>
    public IPEndPoint LocalEndPoint { get; private set; } = new(IPAddress.None, 0);

    /// <summary>The static public key that devices have of this gateway.</summary>
    public WireGuardPublicKey PublicKey => _device.PublicKey;

    /// <summary>Refuses every flow from now on; those there are go on.</summary>
    public void StopAccepting() => _admission.Close();

    /// <summary>Waits until no flow is left; false when the limit has passed.</summary>
    public async Task<bool> WaitAsync(TimeSpan limit)
    {
        Task<bool>[] ends = [.. _tcp.Select(f => f.WaitAsync(limit)), .. _udp is null ? Array.Empty<Task<bool>>() : [_udp.WaitAsync(limit)]];
        return (await Task.WhenAll(ends)).All(ended => ended);
    }

    /// <summary>The devices that have spoken since the gateway knows them.</summary>
    public IReadOnlyList<DeviceCounters> Devices()
    {
        var heard = new List<DeviceCounters>();
        foreach (var peer in _device.Peers)
        {
            if (peer.LastHandshake is not { } handshake || peer.IsRemoved || peer.Endpoint.ToIPEndPoint() is not { } endpoint) continue;
            heard.Add(new DeviceCounters(DeviceTable.Of(peer).Device.Id, peer, endpoint.ToString(), _clock.Epoch + handshake, peer.ReceivedBytes, peer.SentBytes));
        }

        return heard;
    }

    /// <summary>Handshakes that were completed.</summary>
    public long Handshakes => _device.Handshakes;

    /// <summary>Devices that were asked for a new session, since the one they had was not made here.</summary>
    public long Invitations => _device.Invitations;

    /// <summary>Bytes from and to devices, as <c>wg show</c> counts.</summary>
    public (long Received, long Sent) Bytes => _device.Bytes;

    /// <summary>What was dropped outside, and why.</summary>
    public WireGuardDrops Drops => _device.Drops;

    /// <summary>Devices that may have a tunnel.</summary>
    public int DeviceCount => _device.Peers.Count;

    /// <summary>Flows there are.</summary>
    public int FlowCount(FlowProtocol protocol) => _admission.Count(protocol);

    /// <summary>Sets everything up and starts to carry packets. Null: it can not be offered here; one line says why, and nothing is left behind.</summary>
    /// <param name="privateKey">The grid's, 32 bytes; copied.</param>
    public static async Task<WireGuardTunnel?> TryStartAsync(WireGuardOptions options, ReadOnlyMemory<byte> privateKey, IDevices devices, IFlows flows, TimeProvider time, ILogger logger)
    {
        try
        {
            return await StartAsync(options, privateKey, devices, flows, time, logger);
        }
        catch (WireGuardUnavailableException e)
        {
            LogOff(logger, e.Message);
            return null;
        }
    }

    private static async Task<WireGuardTunnel> StartAsync(WireGuardOptions options, ReadOnlyMemory<byte> privateKey, IDevices devices, IFlows flows, TimeProvider time, ILogger logger)
    {
        KernelSetup.Check();
        var tunnel = new WireGuardTunnel(options, privateKey, flows, new TunnelClock(time), logger);
        try
        {
            await tunnel.OpenAsync(devices);
            return tunnel;
        }
        catch (Exception e)
        {
            await tunnel.DisposeAsync();
            if (e is not SocketException) throw;
            throw new WireGuardUnavailableException($"a socket can not be had at {options.Listen}: {e.Message}.");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        // Whatever a task ended with: what follows must happen.
        await Task.WhenAll(_tasks).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _devices.EndFlows();
        // While packets are still carried, so that devices learn of the end.
        foreach (var flows in _tcp) await flows.WaitAsync(s_farewell);
        if (_udp is not null) await _udp.WaitAsync(s_farewell);
        foreach (var thread in _threads) thread.Dispose();
        if (_threads.Count > 0) await KernelSetup.RemoveAsync();
        if (_threads.Count > 0) LogStopped(_logger, _inbound.Sum(i => i.Packets.Taken), _inbound.Sum(i => i.Packets.Written), _handshakes.Dropped);
        while (_owned.TryPop(out var owned)) owned.Dispose();
        _device.Dispose();
        _handshakes.Dispose();
        _stop.Dispose();
    }

    private async Task OpenAsync(IDevices devices)
    {
        var queues = OpenQueues();
        LocalEndPoint = queues[0].Udp.LocalEndPoint;
        var rules = new KernelRules(_options, KernelSetup.HasIPv6);
        var refusals = Own(new UdpRefusals(_device, _devices, _options, _clock, NewSender(queues[0].Udp), _handshakes));
        _udp = new UdpFlows(_admission, refusals.Answer);
        AddressFamily[] families = rules.HasIPv6 ? [AddressFamily.InterNetwork, AddressFamily.InterNetworkV6] : [AddressFamily.InterNetwork];
        var inlets = new List<UdpInlet>();
        foreach (var family in families)
        {
            _tcp.Add(Own(new TcpFlows(TransparentSocket.Listen(family, SocketType.Stream), _admission)));
            inlets.Add(Own(new UdpInlet(TransparentSocket.Listen(family, SocketType.Dgram))));
        }

        await KernelSetup.ApplyAsync(rules, (_tcp[0].Port, _tcp[^1].Port), (inlets[0].Port, inlets[^1].Port));
        StartThreads(queues, inlets);
        foreach (var flows in _tcp) _tasks.Add(flows.RunAsync(_stop.Token));
        _tasks.Add(_udp.SweepAsync(_stop.Token));
        _tasks.Add(_devices.FollowAsync(devices, _stop.Token));
        LogStarted(_logger, LocalEndPoint.ToString(), PublicKey.ToString(), queues.Count, queues[0].Udp.JoinsReceived, queues[0].Udp.CutsSent, queues[0].Tun.HasOffload, rules.HasIPv6);
    }

    private List<(UdpSocket Udp, TunDevice Tun)> OpenQueues()
    {
        var queues = new List<(UdpSocket, TunDevice)>();
        var listen = _options.Listen;
        for (var i = 0; i < _options.Queues; i++)
        {
            var tun = Own(TunDevice.Open(KernelRules.Interface, _options.Queues > 1, _options.Offload));
            var udp = Own(OpenSocket(listen));
            // A port that the kernel chose is the others', too.
            listen = new IPEndPoint(listen.Address, udp.LocalEndPoint.Port);
            queues.Add((udp, tun));
        }

        return queues;
    }

    private UdpSocket OpenSocket(IPEndPoint listen)
    {
        try
        {
            return UdpSocket.Open(listen, _options.Queues > 1, _options.Offload);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressFamilyNotSupported && listen.Address.Equals(IPAddress.IPv6Any))
        {
            // A kernel without IPv6.
            return UdpSocket.Open(new IPEndPoint(IPAddress.Any, listen.Port), _options.Queues > 1, _options.Offload);
        }
    }

    private void StartThreads(List<(UdpSocket Udp, TunDevice Tun)> queues, List<UdpInlet> inlets)
    {
        var control = Own(new ControlLoop(_device, _clock, NewSender(queues[0].Udp), _handshakes));
        _threads.Add(new PacketThread("wg-control", control.Turn, Failed));
        for (var i = 0; i < queues.Count; i++)
        {
            var (udp, tun) = queues[i];
            var inbound = Own(new InboundLoop(_device, _options, _clock, new UdpReceiver(udp, _addresses), NewSender(udp), tun, _handshakes));
            _inbound.Add(inbound);
            var outbound = Own(new OutboundLoop(_device, _clock, tun, NewSender(udp), _handshakes));
            _threads.Add(new PacketThread($"wg-in-{i}", inbound.Turn, Failed));
            _threads.Add(new PacketThread($"wg-out-{i}", outbound.Turn, Failed));
        }

        foreach (var inlet in inlets)
        {
            _threads.Add(new PacketThread("wg-udp", () =>
            {
                if (inlet.TryReceive(out var from, out var dialled, out var datagram)) _udp!.Take(from, dialled, datagram, _stop.Token);
            }, Failed));
        }
    }

    private UdpSender NewSender(UdpSocket socket) => new(socket, _addresses);

    private T Own<T>(T disposable)
        where T : IDisposable
    {
        _owned.Push(disposable);
        return disposable;
    }

    private void Failed(Exception e) => LogTurnFailed(_logger, e);
}
