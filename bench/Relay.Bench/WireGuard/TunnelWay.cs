using System.Security.Cryptography;
using Relay.Protocol.Crypto;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.Bench.WireGuard;

/// <summary>
/// One way from a client's namespace to an iperf3 server in another one, over a veth of 1500 bytes, and the processes that carry it. All programs
/// share the machine. Caller disposes.
/// </summary>
internal sealed class TunnelWay : IAsyncDisposable
{
    public const int Port = 5201;

    /// <summary>Where the server's end listens.</summary>
    public const int TunnelPort = 32442;

    /// <summary>The ends of the cable.</summary>
    public const string ServerOutside = "10.77.1.1", ClientOutside = "10.77.1.2";

    private const string Resource = "100.126.3.4", ClientInside = "100.124.1.1";

    private readonly TempDir _folder = new();
    private readonly NetworkNamespace _client;
    private readonly NetworkNamespace _server;
    private readonly Stack<RunningProcess> _processes = new();

    private TunnelWay(NetworkNamespace client, NetworkNamespace server) => (_client, _server) = (client, server);

    public NetworkNamespace Client => _client;

    public NetworkNamespace Server => _server;

    /// <summary>What the client dials.</summary>
    public string Address { get; private set; } = ServerOutside;

    /// <summary>The gateway's public key, base64; null: there is no gateway.</summary>
    public string? GatewayKey { get; private set; }

    /// <summary>The process that carries packets on the client's side; null: none does.</summary>
    public RunningProcess? ClientEnd { get; private set; }

    /// <summary>The same on the server's side.</summary>
    public RunningProcess? ServerEnd { get; private set; }

    /// <summary>The cable alone.</summary>
    public static async Task<TunnelWay> BareAsync()
    {
        var way = new TunnelWay(await NetworkNamespace.CreateAsync(), await NetworkNamespace.CreateAsync());
        var (here, there) = ($"c{way._client.Name}", $"s{way._client.Name}");
        await way._client.RunAsync("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", way._server.Name);
        foreach (var (side, name, end) in ((NetworkNamespace, string, int)[])[(way._client, here, 2), (way._server, there, 1)])
        {
            await side.RunAsync("ip", "link", "set", name, "mtu", "1500", "up");
            await side.RunAsync("ip", "addr", "add", $"10.77.1.{end}/24", "dev", name);
        }

        var iperf = way.Start(way._server, "iperf3", "iperf3", "-s", "-p", $"{Port}", "--forceflush");
        await iperf.WaitForLineAsync("Server listening");
        return way;
    }

    /// <summary>wireguard-go at both ends; the server is behind no gateway but at the tunnel's end itself.</summary>
    public static async Task<TunnelWay> BetweenPeersAsync()
    {
        var way = await BareAsync();
        var (clientKey, serverKey) = (Key.New(), Key.New());
        way.ServerEnd = await way.StartPeerAsync(way._server, serverKey, clientKey, $"{Resource}/32", $"{ClientInside}/32", listen: true);
        way.ClientEnd = await way.StartPeerAsync(way._client, clientKey, serverKey, $"{ClientInside}/32", "100.126.0.0/16", listen: false);
        way.Address = Resource;
        return way;
    }

    /// <summary>Our gateway's data path at the server's end, which leads every flow to the same port of its loopback.</summary>
    /// <param name="ours">The client's end is ours, too.</param>
    /// <param name="environment">The gateway's, besides this process'.</param>
    public static async Task<TunnelWay> ToGatewayAsync(bool ours, IReadOnlyDictionary<string, string?>? environment = null)
    {
        var way = await BareAsync();
        var key = Key.New();
        way.ServerEnd = way.Keep(way._server.Start("gateway", RelayPrograms.WireGuardHost, [$"[::]:{TunnelPort}", way._folder.File("gateway")], environment));
        var gateway = (await way.ServerEnd.WaitForMessageAsync("wireguard ready")).GetProperty("public_key").GetString()!;
        way.GatewayKey = gateway;
        await way.ServerEnd.WriteLineAsync($"1 device {Guid.NewGuid()} {key.Public} {ClientInside}");
        await way.ServerEnd.WaitForLineAsync("done 1 ");
        if (ours)
        {
            way.ClientEnd = way.Start(way._client, "client", RelayPrograms.WireGuardHost, "client", $"{ServerOutside}:{TunnelPort}", gateway, way._folder.Write("client", key.Private), way._client.Name);
            await way.ClientEnd.WaitForLineAsync("client ready");
            await way.AddressAsync(way._client, $"{ClientInside}/32", "100.126.0.0/16");
        }
        else
        {
            way.ClientEnd = await way.StartPeerAsync(way._client, key, new Key("", gateway), $"{ClientInside}/32", "100.126.0.0/16", listen: false);
        }

        way.Address = Resource;
        return way;
    }

    public async ValueTask DisposeAsync()
    {
        while (_processes.TryPop(out var process))
            await process.DisposeAsync();
        await _client.DisposeAsync();
        await _server.DisposeAsync();
        _folder.Dispose();
    }

    private async Task<RunningProcess> StartPeerAsync(NetworkNamespace side, Key own, Key other, string address, string allowed, bool listen)
    {
        var process = RunningProcess.Start("wireguard-go", "ip", ["netns", "exec", side.Name, "wireguard-go", "-f", side.Name], new Dictionary<string, string?> { ["LOG_LEVEL"] = "verbose", ["WG_PROCESS_FOREGROUND"] = "1" });
        _processes.Push(process);
        await process.WaitForLineAsync("UAPI listener started");
        var file = _folder.Write(side.Name, own.Private);
        await side.RunAsync("wg", [
            "set", side.Name, .. listen ? (string[])["listen-port", $"{TunnelPort}"] : [], "private-key", file, "peer", other.Public, "allowed-ips", allowed,
            .. listen ? (string[])[] : ["endpoint", $"{ServerOutside}:{TunnelPort}"],
        ]);
        await AddressAsync(side, address, allowed);
        return process;
    }

    private async Task AddressAsync(NetworkNamespace side, string address, string route)
    {
        await side.RunAsync("ip", "link", "set", side.Name, "mtu", "1420", "up");
        await side.RunAsync("ip", "addr", "add", address, "dev", side.Name);
        await side.RunAsync("ip", "route", "add", route, "dev", side.Name);
    }

    private RunningProcess Start(NetworkNamespace side, string name, string file, params string[] arguments) => Keep(side.Start(name, file, arguments));

    private RunningProcess Keep(RunningProcess process)
    {
        _processes.Push(process);
        return process;
    }

    /// <summary>A key pair, base64.</summary>
    private sealed record Key(string Private, string Public)
    {
        public static Key New()
        {
            var secret = RandomNumberGenerator.GetBytes(32);
            using var key = X25519PrivateKey.FromScalar(secret);
            return new Key(Convert.ToBase64String(secret), Convert.ToBase64String(key.PublicKey.Span));
        }
    }
}
