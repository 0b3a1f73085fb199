using System.Net;
using System.Net.Sockets;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>
/// The gateway's WireGuard in a namespace, as a process of its own whose devices and decisions the test gives, with targets on the namespace's
/// loopback that this process serves. Clients are in namespaces of their own, each on a cable to the gateway's.
/// </summary>
internal sealed class TunnelSite : IAsyncDisposable
{
    public const int Port = 32442;
    public const string Resource = "100.126.3.4", Resource6 = "fd62:6f72:6465:7231::5";
    public const int EchoPort = 7;

    /// <summary>Ports that the test's decider refuses: with an answer, without.</summary>
    public const int AnsweredPort = 80, RefusedPort = 81;

    private readonly TempDir _folder = new();
    private readonly List<TunnelClient> _clients = [];
    private readonly List<IDisposable> _servers = [];
    private readonly string[] _settings;
    private int _cables;
    private int _told;

    private TunnelSite(NetworkNamespace network, string[] settings)
    {
        Network = network;
        _settings = settings;
    }

    public static bool IsAvailable => NetworkNamespace.IsAvailable && File.Exists("/usr/bin/wireguard-go") && File.Exists("/usr/bin/wg") && File.Exists("/usr/sbin/nft");

    public NetworkNamespace Network { get; }

    public RunningProcess Host { get; private set; } = null!;

    public WireGuardPublicKey PublicKey { get; private set; }

    /// <param name="settings">As the program takes them: "mtu=1280", "plain", …</param>
    public static async Task<TunnelSite> StartAsync(params string[] settings)
    {
        Assert.SkipUnless(IsAvailable, "Needs root, /dev/net/tun, nft, wireguard-go and wg.");
        var site = new TunnelSite(await NetworkNamespace.CreateAsync(), settings);
        await site.StartHostAsync();
        return site;
    }

    public async Task StartHostAsync()
    {
        Host = Network.Start("gateway", RelayPrograms.WireGuardHost, ["[::]:" + Port, _folder.File("key"), .. _settings]);
        var ready = await Host.WaitForMessageAsync("wireguard ready");
        Assert.True(WireGuardPublicKey.TryParse(ready.GetProperty("public_key").GetString(), out var key));
        PublicKey = key;
    }

    /// <summary>One line to the host, done when it says so.</summary>
    public async Task TellAsync(string line)
    {
        // The same line may be said twice, with different numbers.
        var number = ++_told;
        await Host.WriteLineAsync($"{number} {line}");
        await Host.WaitForLineAsync($"done {number} ");
    }

    /// <summary>A device with a cable to the gateway.</summary>
    /// <param name="outsideIPv6">The tunnel goes over IPv6.</param>
    /// <param name="outsideMtu">Of the cable.</param>
    /// <param name="mtu">Of the device's interface.</param>
    public async Task<TunnelClient> AddClientAsync(bool outsideIPv6 = false, int outsideMtu = 1500, int mtu = 1420)
    {
        var client = await TunnelClient.StartAsync(this, ++_cables, outsideIPv6, outsideMtu, mtu);
        _clients.Add(client);
        return client;
    }

    /// <summary>Serves a port of the gateway's loopback, which flows to it are led to.</summary>
    public void Serve(int port, Func<NetworkStream, Task> serve)
    {
        var listener = Network.CreateSocket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, port));
        listener.Listen(2048);
        _servers.Add(listener);
        _ = AcceptAsync(listener, serve);
    }

    public void ServeEcho()
    {
        Serve(EchoPort, s => s.CopyToAsync(s, 1 << 16));
        var socket = Network.CreateSocket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, EchoPort));
        _servers.Add(socket);
        _ = EchoAsync(socket);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients) await client.DisposeAsync();
        foreach (var server in _servers) server.Dispose();
        await Host.DisposeAsync();
        await Network.DisposeAsync();
        _folder.Dispose();
    }

    private static async Task AcceptAsync(Socket listener, Func<NetworkStream, Task> serve)
    {
        try
        {
            while (true) _ = ServeAsync(await listener.AcceptAsync(), serve);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The end of the test.
        }
    }

    private static async Task ServeAsync(Socket accepted, Func<NetworkStream, Task> serve)
    {
        await using var stream = new NetworkStream(accepted, ownsSocket: true);
        try
        {
            await serve(stream);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The client is gone: what a test may want.
        }
    }

    private static async Task EchoAsync(Socket socket)
    {
        var buffer = new byte[65536];
        try
        {
            while (true)
            {
                var received = await socket.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0));
                await socket.SendToAsync(buffer.AsMemory(0, received.ReceivedBytes), received.RemoteEndPoint);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The end of the test.
        }
    }
}
