using Npgsql;

namespace Relay.TestKit.Processes;

/// <summary>
/// A grid in network namespaces: silos, first gateway, connectors and targets in one of them, a second gateway in another when it is wanted, and each
/// device in one of its own with a cable to every gateway. It starts without policies and connectors.
/// </summary>
public class WireGuardGrid : IAsyncDisposable
{
    public const int Port = 32442;

    private readonly List<DeviceMachine> _machines = [];
    private int _cables;

    public static bool IsAvailable => NetworkNamespace.IsAvailable && File.Exists("/usr/bin/wireguard-go") && File.Exists("/usr/bin/wg") && File.Exists("/usr/sbin/nft");

    public NetworkNamespace Core { get; private set; } = null!;

    /// <summary>Where the second gateway is; null: there is none.</summary>
    public NetworkNamespace? Second { get; private set; }

    public RelayGrid Grid { get; private set; } = null!;

    /// <summary>Null unless one was wanted.</summary>
    public GatewayProcess SecondGateway { get; private set; } = null!;

    /// <summary>The key that devices have of every gateway, base64.</summary>
    public string PublicKey { get; private set; } = "";

    /// <summary>Starts everything but the devices; when it fails there is still something to dispose.</summary>
    /// <param name="silos">Several are in regions of their own: the first has the first gateway, the last the second one.</param>
    /// <param name="database">Npgsql connection string of a database of the caller's; null: one of the grid's.</param>
    public async Task StartAsync(int silos = 1, bool secondGateway = false, string? database = null)
    {
        Core = await NetworkNamespace.CreateAsync();
        if (secondGateway)
        {
            Second = await NetworkNamespace.CreateAsync();
            await CableAsync(Core, "10.88.0.1/24", Second, "10.88.0.2/24");
        }

        Grid = await RelayGrid.StartInAsync(
            Core, new Dictionary<string, string?> { ["RELAY_GRID_LISTEN"] = secondGateway ? "10.88.0.1:0" : "127.0.0.1:0" },
            new Dictionary<string, string?> { ["RELAY_WIREGUARD_LISTEN"] = $"[::]:{Port}", ["RELAY_GATEWAY_DRAIN_SECONDS"] = "60" },
            silos: silos, regions: silos > 1, database: database);
        if (secondGateway)
            SecondGateway = await Grid.StartGatewayAsync("gateway-1", Grid.Silos[^1], silos > 1 ? $"r{silos - 1}" : null, Second);
        PublicKey = (await Grid.Gateway.Process.WaitForMessageAsync("wireguard ready")).GetProperty("public_key").GetString()!;
        await Grid.RelayAsync("policy", "delete", "default-org-policy");
    }

    /// <summary>A device of the administrator's on a machine of its own, with its tunnel to the first gateway.</summary>
    public async Task<DeviceMachine> AddDeviceAsync(string name)
    {
        var machine = await DeviceMachine.StartAsync(this, name, ++_cables);
        _machines.Add(machine);
        return machine;
    }

    /// <summary>Publishes a port of the loopback beside the connector as a raw socket, and gives the socket's IPv4 address.</summary>
    /// <param name="type">"tcp" or "udp".</param>
    /// <param name="allowed">Whether the administrator may use it, by the policy <c>allow-NAME</c>.</param>
    public async Task<string> PublishAsync(string name, int port, bool allowed = true, string type = "tcp", string connector = "site")
    {
        await Grid.RelayAsync("socket", "create", type, "--name", name, "--connector", connector, "--host", "127.0.0.1", "--port", $"{port}");
        if (allowed)
            await AllowAsync(name, """{"permissions":{"tls":{}},"condition":{"who":{"email":["admin@relay.local"]}}}""");
        return await AddressAsync(name);
    }

    /// <summary>Creates a policy named after the socket and attaches it.</summary>
    public async Task AllowAsync(string socket, string document)
    {
        var file = Path.Combine(Grid.Folder, $"{socket}.json");
        await File.WriteAllTextAsync(file, document);
        await Grid.RelayAsync("policy", "create", "--name", $"allow-{socket}", "--file", file, "--socket", socket);
    }

    /// <summary>A socket's IPv4 address.</summary>
    public async Task<string> AddressAsync(string socket)
    {
        // A pool would keep connections that a stop of the server has ended.
        await using var connection = new NpgsqlConnection(Grid.Database + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand("SELECT resource_index FROM socket WHERE name = @socket", connection);
        command.Parameters.AddWithValue("socket", socket);
        var index = (int)(await command.ExecuteScalarAsync())!;
        return $"100.126.{index >> 8}.{index & 255}";
    }

    public virtual async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        foreach (var machine in _machines)
            await machine.DisposeAsync();
        if (Grid is not null)
            await Grid.DisposeAsync();
        foreach (var network in new[] { Core, Second })
        {
            if (network is not null)
                await network.DisposeAsync();
        }
    }

    /// <summary>Two ends of an Ethernet cable; gives their names.</summary>
    internal static async Task<(string One, string Other)> CableAsync(NetworkNamespace one, string address, NetworkNamespace other, string otherAddress)
    {
        var (here, there) = ($"a{other.Name}", $"b{one.Name}");
        await one.RunAsync("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", other.Name);
        foreach (var (side, name, its) in ((NetworkNamespace, string, string)[])[(one, here, address), (other, there, otherAddress)])
        {
            await side.RunAsync("ip", "addr", "add", its, "dev", name);
            await side.RunAsync("ip", "link", "set", name, "up");
        }

        return (here, there);
    }
}
