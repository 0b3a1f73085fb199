using System.Net;
using System.Text.Json;
using Npgsql;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary>
/// A grid in network namespaces: silos, first gateway, connector and targets in one of them, a second gateway in another, and each device in one of
/// its own with a cable to both gateways. Made once for all tests of a class; each uses sockets and devices of its own.
/// </summary>
public class WireGuardSite : IAsyncLifetime
{
    public const int Port = 32442;

    private readonly List<DeviceMachine> _machines = [];
    private int _cables;

    public static bool IsAvailable => NetworkNamespace.IsAvailable && File.Exists("/usr/bin/wireguard-go") && File.Exists("/usr/bin/wg") && File.Exists("/usr/sbin/nft");

    public NetworkNamespace Core { get; private set; } = null!;

    public NetworkNamespace Second { get; private set; } = null!;

    public RelayGrid Grid { get; private set; } = null!;

    public GatewayProcess SecondGateway { get; private set; } = null!;

    /// <summary>The first has the first gateway and the connector, the last the second gateway.</summary>
    protected virtual int Silos => 1;

    /// <summary>The key that devices have of every gateway, base64.</summary>
    public string PublicKey { get; private set; } = "";

    public virtual async ValueTask InitializeAsync()
    {
        if (!IsAvailable)
            return;
        Core = await NetworkNamespace.CreateAsync();
        Second = await NetworkNamespace.CreateAsync();
        await CableAsync(Core, "10.88.0.1/24", Second, "10.88.0.2/24");
        Grid = await RelayGrid.StartInAsync(
            Core, new Dictionary<string, string?> { ["RELAY_GRID_LISTEN"] = "10.88.0.1:0" },
            new Dictionary<string, string?> { ["RELAY_WIREGUARD_LISTEN"] = $"[::]:{Port}", ["RELAY_GATEWAY_DRAIN_SECONDS"] = "60" },
            silos: Silos, regions: Silos > 1, database: await DatabaseAsync());
        SecondGateway = await Grid.StartGatewayAsync("gateway-1", Grid.Silos[^1], Silos > 1 ? $"r{Silos - 1}" : null, Second);
        var ready = await Grid.Gateway.Process.WaitForMessageAsync("wireguard ready");
        PublicKey = ready.GetProperty("public_key").GetString()!;
        Assert.Equal(PublicKey, (await SecondGateway.Process.WaitForMessageAsync("wireguard ready")).GetProperty("public_key").GetString());
        await Grid.RelayAsync("policy", "delete", "default-org-policy");
        await Grid.StartConnectorAsync("site");
    }

    /// <summary>Two ends of an Ethernet cable; gives their names.</summary>
    public static async Task<(string One, string Other)> CableAsync(NetworkNamespace one, string address, NetworkNamespace other, string otherAddress)
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

    /// <summary>A device of the administrator's on a machine of its own, with its tunnel to the first gateway.</summary>
    public async Task<DeviceMachine> AddDeviceAsync(string name)
    {
        var machine = await DeviceMachine.StartAsync(this, name, ++_cables);
        _machines.Add(machine);
        return machine;
    }

    /// <summary>A raw socket to a port of the loopback beside the connector.</summary>
    /// <param name="type">"tcp" or "udp".</param>
    /// <param name="allowed">Whether the administrator may use it, by the policy <c>allow-NAME</c>.</param>
    public async Task<string> PublishAsync(string name, int port, bool allowed = true, string type = "tcp")
    {
        await Grid.RelayAsync("socket", "create", type, "--name", name, "--connector", "site", "--host", "127.0.0.1", "--port", $"{port}");
        if (allowed)
            await AllowAsync(name, """{"permissions":{"tls":{}},"condition":{"who":{"email":["admin@relay.local"]}}}""");
        return await AddressAsync(name);
    }

    /// <summary>The other address of the same socket: both are the start of a range and the socket's number.</summary>
    public static string ToIPv6(string address)
    {
        var bytes = IPAddress.Parse(address).GetAddressBytes();
        return $"fd62:6f72:6465:7231::{(bytes[2] << 8) | bytes[3]:x}";
    }

    /// <summary>The connector's own SSH service.</summary>
    public async Task<string> PublishSshAsync(string name)
    {
        await Grid.RelayAsync("socket", "create", "ssh", "--name", name, "--connector", "site", "--upstream-type", "connector_built_in_ssh_service");
        await AllowAsync(name, OneSilo.EverythingForTheAdministrator);
        return await AddressAsync(name);
    }

    public async Task AllowAsync(string socket, string document)
    {
        var file = Path.Combine(Grid.Folder, $"{socket}.json");
        await File.WriteAllTextAsync(file, document);
        await Grid.RelayAsync("policy", "create", "--name", $"allow-{socket}", "--file", file, "--socket", socket);
    }

    /// <summary>The newest session to a socket, as <c>session show</c> has it, once it is as it should be.</summary>
    public async Task<JsonElement> SessionAsync(string socket, Func<JsonElement, bool> isThere)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(40));
        while (true)
        {
            var list = (await Grid.RelayJsonAsync("session", "ls", "--socket", socket, "--limit", "1")).GetProperty("list");
            if (list.GetArrayLength() > 0 && isThere(list[0]))
                return await Grid.RelayJsonAsync("session", "show", list[0].GetProperty("session_id").GetString()!);
            Assert.False(limit.IsCancellationRequested, $"{list}\n{Grid.Logs()}");
        }
    }

    public Task<JsonElement> EndedAsync(string socket) => SessionAsync(socket, s => s.GetProperty("end_time").ValueKind != JsonValueKind.Null);

    /// <summary>A write as the API makes it, and the version of the organization with it.</summary>
    public async Task WriteAsync(string sql, params (string Name, object Value)[] parameters)
    {
        await using var connection = new NpgsqlConnection(Grid.Database);
        await connection.OpenAsync();
        // Sent at once, so they are one transaction.
        await using var command = new NpgsqlCommand($"{sql}; UPDATE organization SET version = version + 1; SELECT pg_notify('relay_org', organization_id::text) FROM organization", connection);
        foreach (var (name, value) in parameters)
            command.Parameters.AddWithValue(name, value);
        await command.ExecuteNonQueryAsync();
    }

    public async Task<T> QueryAsync<T>(string sql, params (string Name, object Value)[] parameters)
    {
        // A pool would keep connections that a stop of the server has ended.
        await using var connection = new NpgsqlConnection(Grid.Database + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        foreach (var (name, value) in parameters)
            command.Parameters.AddWithValue(name, value);
        return (T)(await command.ExecuteScalarAsync())!;
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

    /// <summary>Npgsql connection string of the site's own database; null: one of the grid's.</summary>
    protected virtual Task<string?> DatabaseAsync() => Task.FromResult<string?>(null);

    private async Task<string> AddressAsync(string socket)
    {
        var index = await QueryAsync<int>("SELECT resource_index FROM socket WHERE name = @socket", ("socket", socket));
        return $"100.126.{index >> 8}.{index & 255}";
    }
}
