using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Relay.Protocol.WireGuard;

namespace Relay.TestKit.Processes;

/// <summary>A user's machine: the stock wireguard-go and wg in a namespace, set up as wg-quick does by its file.</summary>
public sealed class DeviceMachine : IAsyncDisposable
{
    private readonly TempDir _folder = new();
    private readonly WireGuardGrid _site;
    private readonly NetworkNamespace _network;
    private readonly RunningProcess _process;
    private readonly int _number;

    private DeviceMachine(WireGuardGrid site, NetworkNamespace network, RunningProcess process, string name, int number)
    {
        (_site, _network, _process, Name, _number) = (site, network, process, name, number);
    }

    /// <summary>The device's.</summary>
    public string Name { get; }

    public Guid Id { get; private set; }

    /// <summary>Where the first gateway sees it.</summary>
    public string Outside => $"10.77.{_number}.2";

    private string Interface => _network.Name;

    /// <summary>This machine's ends of its cables.</summary>
    private string ToFirst { get; init; } = "";

    /// <summary>Empty: there is no second gateway.</summary>
    private string ToSecond { get; init; } = "";

    public static async Task<DeviceMachine> StartAsync(WireGuardGrid site, string name, int number)
    {
        var network = await NetworkNamespace.CreateAsync();
        var (first, _) = await WireGuardGrid.CableAsync(network, $"10.77.{number}.2/24", site.Core, $"10.77.{number}.1/24");
        var second = "";
        if (site.Second is { } other)
            (second, _) = await WireGuardGrid.CableAsync(network, $"10.78.{number}.2/24", other, $"10.78.{number}.1/24");
        var process = network.Start("wireguard-go", "wireguard-go", ["-f", network.Name], new Dictionary<string, string?> { ["LOG_LEVEL"] = "verbose", ["WG_PROCESS_FOREGROUND"] = "1" });
        var machine = new DeviceMachine(site, network, process, name, number) { ToFirst = first, ToSecond = second };
        await process.WaitForLineAsync("UAPI listener started");
        machine._folder.Write("resolv.conf", "nameserver fd62:6f72:6465:7230::6464\noptions timeout:20 attempts:2\n");
        // The file that a user has. Where gateways are is said by cables here, which no grid can know.
        await machine.ConfigureAsync(await site.Grid.RelayAsync("device", "add", name, "--file", "-", "--preshared-key", "--no-dns"));
        machine.Id = (await site.Grid.RelayJsonAsync("device", "show", name)).GetProperty("device_id").GetGuid();
        return machine;
    }

    /// <summary>Runs a program there to its end. It asks the resolver inside the tunnel for names, as wg-quick has it: each command of <c>ip netns</c> has mounts of its own.</summary>
    public Task<CommandResult> RunAsync(string program, params string[] arguments) => Command.RunAsync(
        "ip", ["netns", "exec", _network.Name, "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", _folder.File("resolv.conf"), program, .. arguments]);

    /// <summary>The stock ssh without any key, to an address or a name.</summary>
    public Task<CommandResult> SshAsync(string user, string host, string command, params string[] options) => RunAsync(
        "ssh",
        ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "PubkeyAuthentication=no", "-o", "ConnectTimeout=60", .. options, $"{user}@{host}", command]);

    /// <summary>Status and body of a page; status 0: there was none.</summary>
    public async Task<(int Status, string Body)> CurlAsync(string host, int port, string path = "/", params string[] options)
    {
        var result = await RunAsync("curl", ["-s", "-m", "60", "-w", "\n%{http_code}", .. options, $"http://{host}:{port}{path}"]);
        var end = result.Text.LastIndexOf('\n');
        return (int.Parse(result.Text[(end + 1)..], CultureInfo.InvariantCulture), result.Text[..end]);
    }

    /// <summary>Connects through the tunnel.</summary>
    public async Task<NetworkStream> ConnectAsync(string address, int port)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        return await _network.ConnectAsync(new IPEndPoint(IPAddress.Parse(address), port), limit.Token);
    }

    /// <summary>A UDP socket that is connected to an address through the tunnel.</summary>
    public async Task<Socket> DialAsync(string address, int port)
    {
        var socket = _network.CreateSocket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(IPAddress.Parse(address), port);
        return socket;
    }

    /// <summary>Reaches only the other gateway from now on, as when the one before is gone: what that still sends does not lead back to it.</summary>
    /// <param name="second">False: back to the first.</param>
    public async Task MoveAsync(bool second)
    {
        await _network.RunAsync("ip", "link", "set", second ? ToSecond : ToFirst, "up");
        await _network.RunAsync("ip", "link", "set", second ? ToFirst : ToSecond, "down");
        await _network.RunAsync("wg", "set", Interface, "peer", _site.PublicKey, "endpoint", Gateway(second));
    }

    /// <summary>Forgets the sessions there are: whatever is sent next begins with a handshake.</summary>
    public async Task ForgetAsync()
    {
        await _network.RunAsync("wg", "set", Interface, "peer", _site.PublicKey, "remove");
        await _network.RunAsync("wg", "setconf", Interface, _folder.File("conf"));
    }

    /// <summary>Handshakes that a gateway has asked it for.</summary>
    public int Invitations => _process.Output.Split("Received handshake initiation").Length - 1;

    /// <summary>When the last handshake ended, in seconds since 1970; 0: there was none.</summary>
    public async Task<long> LatestHandshakeAsync() =>
        long.Parse((await _network.RunAsync("wg", "show", Interface, "latest-handshakes")).Text.Split('\t')[1], CultureInfo.InvariantCulture);

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        await _network.DisposeAsync();
        _folder.Dispose();
    }

    private string Gateway(bool second) => $"10.{(second ? 78 : 77)}.{_number}.1:{WireGuardGrid.Port}";

    private async Task ConfigureAsync(string text)
    {
        using var configuration = WgQuickConfiguration.Parse(text);
        var peer = configuration.Peers.Single();
        if (peer.PublicKey.ToString() != _site.PublicKey)
            throw new InvalidOperationException($"The configuration is for {peer.PublicKey}, not for the gateway's key {_site.PublicKey}.");
        var stripped = $"[Interface]\nPrivateKey = {Convert.ToBase64String(configuration.PrivateKey)}\n[Peer]\nPublicKey = {peer.PublicKey}\n"
            + $"PresharedKey = {Convert.ToBase64String(peer.PresharedKey)}\nAllowedIPs = {string.Join(',', peer.AllowedIPs)}\nEndpoint = {Gateway(second: false)}\n";
        await _network.RunAsync("wg", "setconf", Interface, _folder.Write("conf", stripped));
        await _network.RunAsync("ip", "link", "set", Interface, "mtu", $"{configuration.Mtu}", "up");
        foreach (var address in configuration.Addresses)
            await _network.RunAsync("ip", "addr", "add", $"{address}", "dev", Interface);
        foreach (var range in peer.AllowedIPs)
            await _network.RunAsync("ip", range.BaseAddress.AddressFamily == AddressFamily.InterNetworkV6 ? "-6" : "-4", "route", "add", $"{range}", "dev", Interface);
    }
}
