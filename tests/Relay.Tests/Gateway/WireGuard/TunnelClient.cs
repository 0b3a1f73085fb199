using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>A user's device: the stock wireguard-go and wg in a namespace of their own.</summary>
internal sealed class TunnelClient : IAsyncDisposable
{
    private readonly TempDir _folder = new();
    private readonly NetworkNamespace _network;
    private readonly RunningProcess _process;
    private readonly int _number;

    private TunnelClient(NetworkNamespace network, RunningProcess process, int number)
    {
        (_network, _process, _number) = (network, process, number);
    }

    public Guid Id { get; } = Guid.NewGuid();

    /// <summary>Where it is.</summary>
    public NetworkNamespace Network => _network;

    public string PublicKey { get; private set; } = "";

    public string Address => $"100.124.1.{_number}";

    public string Address6 => $"fd62:6f72:6465:7230::1:{_number}";

    public static async Task<TunnelClient> StartAsync(TunnelSite site, int number, bool outsideIPv6, int outsideMtu, int mtu)
    {
        var network = await NetworkNamespace.CreateAsync();
        var (here, there) = ($"c{network.Name}", $"g{network.Name}");
        await network.RunAsync("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", site.Network.Name);
        foreach (var (side, name, end) in ((NetworkNamespace, string, int)[])[(network, here, 2), (site.Network, there, 1)])
        {
            await side.RunAsync("ip", "link", "set", name, "mtu", $"{outsideMtu}", "up");
            await side.RunAsync("ip", "addr", "add", $"10.77.{number}.{end}/24", "dev", name);
            await side.RunAsync("ip", "addr", "add", $"fd77:{number}::{end}/64", "dev", name, "nodad");
        }

        var process = network.Start("wireguard-go", "wireguard-go", ["-f", network.Name], new Dictionary<string, string?> { ["LOG_LEVEL"] = "verbose", ["WG_PROCESS_FOREGROUND"] = "1" });
        var client = new TunnelClient(network, process, number);
        await process.WaitForLineAsync("UAPI listener started");
        var secret = RandomNumberGenerator.GetBytes(32);
        using (var key = X25519PrivateKey.FromScalar(secret)) client.PublicKey = Convert.ToBase64String(key.PublicKey.Span);
        await network.RunAsync(
            "wg", "set", network.Name, "private-key", client._folder.Write("key", Convert.ToBase64String(secret)),
            "peer", site.PublicKey.ToString(), "endpoint", outsideIPv6 ? $"[fd77:{number}::1]:{TunnelSite.Port}" : $"10.77.{number}.1:{TunnelSite.Port}",
            "allowed-ips", "100.124.0.0/15,100.126.0.0/16,192.0.2.0/24,fd62:6f72:6465:7230::/63");
        await network.RunAsync("ip", "link", "set", network.Name, "mtu", $"{mtu}", "up");
        await network.RunAsync("ip", "addr", "add", $"{client.Address}/32", "dev", network.Name);
        await network.RunAsync("ip", "addr", "add", $"{client.Address6}/128", "dev", network.Name, "nodad");
        foreach (var range in (string[])["100.124.0.0/15", "100.126.0.0/16", "192.0.2.0/24"]) await network.RunAsync("ip", "route", "add", range, "dev", network.Name);
        await network.RunAsync("ip", "-6", "route", "add", "fd62:6f72:6465:7230::/63", "dev", network.Name);
        await site.TellAsync($"device {client.Id} {client.PublicKey} {client.Address},{client.Address6}");
        return client;
    }

    /// <summary>Has a preshared key with the gateway from now on.</summary>
    public async Task UsePresharedKeyAsync(TunnelSite site, string key)
    {
        await site.TellAsync($"device {Id} {PublicKey} {Address},{Address6} {key}");
        await _network.RunAsync("wg", "set", _network.Name, "peer", site.PublicKey.ToString(), "preshared-key", _folder.Write("preshared", key));
    }

    /// <summary>A socket in its namespace; not connected.</summary>
    public Socket NewSocket(string address, SocketType type) => _network.CreateSocket(
        IPAddress.Parse(address).AddressFamily, type, type == SocketType.Stream ? ProtocolType.Tcp : ProtocolType.Udp);

    /// <summary>Connects to an address through the tunnel.</summary>
    public async Task<NetworkStream> ConnectAsync(string address, int port)
    {
        var socket = NewSocket(address, SocketType.Stream);
        try
        {
            // A device whose gateway was started anew makes a handshake after 15 s, and the kernel's next SYN is up to 31 s after the first.
            await socket.ConnectAsync(IPAddress.Parse(address), port).WaitAsync(TimeSpan.FromSeconds(100), TestContext.Current.CancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>A UDP socket connected to an address through the tunnel.</summary>
    public async Task<Socket> DialAsync(string address, int port)
    {
        var socket = NewSocket(address, SocketType.Dgram);
        await socket.ConnectAsync(IPAddress.Parse(address), port);
        return socket;
    }

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        await _network.DisposeAsync();
        _folder.Dispose();
    }
}
