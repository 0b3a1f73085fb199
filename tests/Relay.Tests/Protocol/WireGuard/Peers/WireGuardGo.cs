using System.Globalization;
using System.Net;
using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard.Peers;

/// <summary>
/// The stock wireguard-go with wg, in a namespace of its own. Inside the tunnel it is 10.9.0.1 and fd09::1 and has the kernel behind it; we
/// are 10.9.0.2 and fd09::2. Outside it is on the loopback, at 127.0.0.1 and ::1 and whatever a test adds.
/// </summary>
internal sealed class WireGuardGo : IAsyncDisposable
{
    public const string Inside = "10.9.0.1", Inside6 = "fd09::1", Us = "10.9.0.2", Us6 = "fd09::2";
    public const int ListenPort = 51820;

    // Any number that no test uses for its own key.
    private const int KeyNumber = 1000;

    private readonly TempDir _folder = new();
    private readonly RunningProcess _process;

    private WireGuardGo(NetworkNamespace network, RunningProcess process)
    {
        Network = network;
        _process = process;
    }

    public static WireGuardPublicKey PublicKey => Sim.PublicKey(KeyNumber);

    public static bool IsAvailable => NetworkNamespace.IsAvailable && Installed("wireguard-go") && Installed("wg");

    public NetworkNamespace Network { get; }

    /// <summary>The interface's name, which is the namespace's: names of control sockets are the machine's.</summary>
    private string Interface => Network.Name;

    public static async Task<WireGuardGo> StartAsync()
    {
        var network = await NetworkNamespace.CreateAsync();
        var process = network.Start("wireguard-go", "wireguard-go", ["-f", network.Name], new Dictionary<string, string?> { ["LOG_LEVEL"] = "verbose", ["WG_PROCESS_FOREGROUND"] = "1" });
        var go = new WireGuardGo(network, process);
        await process.WaitForLineAsync("UAPI listener started");
        await go.SetAsync("listen-port", $"{ListenPort}", "private-key", go._folder.Write("private", Convert.ToBase64String(Sim.PrivateKey(KeyNumber))));
        await network.RunAsync("ip", "addr", "add", $"{Inside}/24", "dev", network.Name);
        await network.RunAsync("ip", "addr", "add", $"{Inside6}/64", "dev", network.Name, "nodad");
        await network.RunAsync("ip", "link", "set", network.Name, "up");
        return go;
    }

    /// <summary><c>wg set interface …</c>.</summary>
    public Task SetAsync(params string[] arguments) => Network.RunAsync("wg", ["set", Interface, .. arguments]);

    /// <summary>Adds or changes a device of ours.</summary>
    public Task SetPeerAsync(WireGuardDevice device, params string[] arguments) =>
        SetAsync(["peer", device.PublicKey.ToString(), "allowed-ips", $"{Us}/32,{Us6}/128", .. arguments]);

    public async Task SetPresharedKeyAsync(WireGuardDevice device, byte[] key) =>
        await SetAsync("peer", device.PublicKey.ToString(), "preshared-key", _folder.Write("psk", Convert.ToBase64String(key)));

    /// <summary>What <c>wg show interface …</c> says of the one peer, after its key.</summary>
    public async Task<string> ShowAsync(string what) => (await Network.RunAsync("wg", "show", Interface, what)).Text.Trim().Split('\t', 2)[1];

    /// <summary>Bytes received and sent, as wg counts.</summary>
    public async Task<(long Received, long Sent)> TransferAsync()
    {
        var counts = (await ShowAsync("transfer")).Split('\t');
        return (long.Parse(counts[0], CultureInfo.InvariantCulture), long.Parse(counts[1], CultureInfo.InvariantCulture));
    }

    /// <summary>Sends a text from its side by UDP, to one of our addresses inside.</summary>
    public Task SendTextAsync(string text, string to) => Network.RunAsync("bash", "-c", $"echo -n '{text}' > /dev/udp/{to}/9");

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        await Network.DisposeAsync();
        _folder.Dispose();
    }

    private static bool Installed(string program) => File.Exists($"/usr/bin/{program}");
}
