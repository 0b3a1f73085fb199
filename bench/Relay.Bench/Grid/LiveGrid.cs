using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Relay.Bench.Ssh;
using Relay.Protocol.Ssh;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.Bench.Grid;

/// <summary>A grid of real processes and an administrator who talks to its API without a CLI in between.</summary>
internal sealed class LiveGrid : IAsyncDisposable
{
    private readonly HttpClient _http;
    private readonly List<SshPrivateKey> _keys = [];
    private readonly RelayGrid? _owned;

    private LiveGrid(RelayGrid grid, bool owned)
    {
        Grid = grid;
        _owned = owned ? grid : null;
        _http = new HttpClient(new SocketsHttpHandler { ConnectCallback = grid.Network is { } network ? (context, cancellationToken) => ConnectAsync(network, context.DnsEndPoint, cancellationToken) : null });
    }

    public RelayGrid Grid { get; }

    /// <param name="regions">Silo N is in region "rN", the gateway in "r0": it stays at the first silo.</param>
    public static async Task<LiveGrid> StartAsync(int silos, bool regions = false) => await new LiveGrid(await RelayGrid.StartAsync(silos, regions: regions), owned: true).LogInAsync();

    /// <summary>The administrator of a grid that somebody else disposes; it may be in a network namespace.</summary>
    public static Task<LiveGrid> OfAsync(RelayGrid grid) => new LiveGrid(grid, owned: false).LogInAsync();

    /// <summary>One call of the API, through any silo.</summary>
    public async Task<JsonNode> SendAsync(HttpMethod method, string path, JsonNode? body = null, int silo = 0, string? prefer = null)
    {
        using var request = new HttpRequestMessage(method, new Uri($"{Grid.Silos[silo].Api}/api/v1{path}"));
        if (body is not null)
            request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        if (prefer is not null)
            request.Headers.Add("Prefer", prefer);
        using var response = await _http.SendAsync(request);
        var text = await response.Content.ReadAsStringAsync();
        return response.IsSuccessStatusCode ? JsonNode.Parse(text)! : throw new InvalidOperationException($"{method} {path}: {(int)response.StatusCode} {text}");
    }

    public async Task<string> MetricsAsync(int silo) => await _http.GetStringAsync(new Uri($"{Grid.Silos[silo].Api}/metrics"));

    /// <summary>A user with a key that is registered.</summary>
    public async Task<SshPrivateKey> AddUserAsync(string email)
    {
        var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        _keys.Add(key);
        await SendAsync(HttpMethod.Post, "/users", new JsonObject { ["email"] = email });
        await SendAsync(HttpMethod.Post, $"/users/{email}/ssh_keys", new JsonObject { ["public_key"] = key.PublicKey.ToLine() });
        return key;
    }

    /// <summary>A socket through that connector whose policy lets those people forward anywhere, and is called "allow-" and its name.</summary>
    /// <param name="who">The policy's condition.</param>
    public async Task AddForwardingSocketAsync(string name, string connector, JsonObject who)
    {
        await SendAsync(HttpMethod.Post, "/sockets", new JsonObject
        {
            ["name"] = name,
            ["connector_ids"] = new JsonArray(connector),
            ["recording_enabled"] = false,
            ["upstream_configuration"] = new JsonObject { ["service_type"] = "ssh", ["ssh_service_configuration"] = new JsonObject { ["ssh_service_type"] = "connector_built_in_ssh_service" } },
        });
        await AddPolicyAsync($"allow-{name}", [name], new JsonObject { ["ssh"] = new JsonObject { ["tcp_forwarding"] = new JsonObject() } }, who);
    }

    /// <param name="who">The policy's condition.</param>
    public Task AddPolicyAsync(string name, IEnumerable<string> sockets, JsonObject permissions, JsonObject who) => SendAsync(HttpMethod.Post, "/policies", new JsonObject
    {
        ["name"] = name,
        ["socket_ids"] = new JsonArray([.. sockets.Select(s => JsonValue.Create(s))]),
        ["policy_data"] = new JsonObject { ["permissions"] = permissions, ["condition"] = new JsonObject { ["who"] = who } },
    });

    /// <summary>A session of that user.</summary>
    public async Task<SshConnection> ConnectAsync(string socket, SshPrivateKey key)
    {
        var address = Grid.SshAddress.Split(':');
        var tcp = new TcpClient { NoDelay = true };
        await tcp.ConnectAsync(address[0], int.Parse(address[1], CultureInfo.InvariantCulture));
        return await SshConnection.ConnectAsync(tcp.GetStream(), new SshClientOptions
        {
            User = socket,
            Key = key,
            VerifyHostKey = (_, _) => ValueTask.FromResult(true),
            TimeProvider = TimeProvider.System,
        }, CancellationToken.None);
    }

    /// <summary>A forwarded connection to a port of this machine.</summary>
    public static async Task<SshChannel> ForwardAsync(SshConnection connection, int port)
    {
        using var writer = new SshWriter();
        writer.WriteString("127.0.0.1");
        writer.WriteUInt32((uint)port);
        writer.WriteString("127.0.0.1");
        writer.WriteUInt32(0);
        return await connection.OpenChannelAsync("direct-tcpip", writer.WrittenMemory.ToArray(), CancellationToken.None);
    }

    /// <summary>A live session of that user with a forwarded connection that is open and has carried a byte.</summary>
    /// <param name="echoPort">A service that sends back what it gets.</param>
    /// <exception cref="IOException">It ended before.</exception>
    public async Task<SshConnection> OpenAsync(string socket, SshPrivateKey key, int echoPort)
    {
        var connection = await ConnectAsync(socket, key);
        try
        {
            var channel = await ForwardAsync(connection, echoPort);
            await channel.WriteAsync("x"u8.ToArray(), CancellationToken.None);
            while (await channel.ReadAsync(CancellationToken.None) is var next && next.Kind != SshChannelEventKind.Data)
            {
                // What came first was a window or a request.
                if (next.Kind is SshChannelEventKind.Closed or SshChannelEventKind.Eof)
                    throw new IOException("The forwarded connection ended before it carried a byte.");
            }

            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until a process has next to nothing to do.</summary>
    public static async Task SettledAsync(int pid)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1), TimeProvider.System);
        var before = ProcessCpu.Seconds(pid);
        while (await timer.WaitForNextTickAsync())
        {
            var now = ProcessCpu.Seconds(pid);
            if (now - before < 0.1)
                return;
            before = now;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var key in _keys)
            key.Dispose();
        _http.Dispose();
        if (_owned is not null)
            await _owned.DisposeAsync();
    }

    private async Task<LiveGrid> LogInAsync()
    {
        var password = (await File.ReadAllTextAsync(Path.Combine(Grid.Folder, "admin.password"))).Trim();
        var login = await SendAsync(HttpMethod.Post, "/login", new JsonObject { ["email"] = "admin@relay.local", ["password"] = password });
        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", login["token"]!.GetValue<string>());
        return this;
    }

    private static async ValueTask<Stream> ConnectAsync(NetworkNamespace network, DnsEndPoint silo, CancellationToken cancellationToken) =>
        await network.ConnectAsync(new IPEndPoint(IPAddress.Parse(silo.Host), silo.Port), cancellationToken);
}
