using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Relay.Protocol.Ssh;
using Relay.TestKit.Processes;

namespace Relay.Bench.Grid;

/// <summary>A grid of real processes and an administrator who talks to its API without a CLI in between.</summary>
internal sealed class LiveGrid : IAsyncDisposable
{
    private readonly HttpClient _http = new();
    private readonly List<SshPrivateKey> _keys = [];

    private LiveGrid(RelayGrid grid) => Grid = grid;

    public RelayGrid Grid { get; }

    public static async Task<LiveGrid> StartAsync(int silos)
    {
        var live = new LiveGrid(await RelayGrid.StartAsync(silos));
        var password = (await File.ReadAllTextAsync(Path.Combine(live.Grid.Folder, "admin.password"))).Trim();
        var login = await live.SendAsync(HttpMethod.Post, "/login", new JsonObject { ["email"] = "admin@relay.local", ["password"] = password });
        live._http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", login["token"]!.GetValue<string>());
        return live;
    }

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

    /// <summary>A live session of that user with a forwarded connection that is open and has carried a byte.</summary>
    /// <param name="echoPort">A service that sends back what it gets.</param>
    public async Task<SshConnection> OpenAsync(string socket, SshPrivateKey key, int echoPort)
    {
        var address = Grid.SshAddress.Split(':');
        var tcp = new TcpClient { NoDelay = true };
        await tcp.ConnectAsync(address[0], int.Parse(address[1], System.Globalization.CultureInfo.InvariantCulture));
        var connection = await SshConnection.ConnectAsync(tcp.GetStream(), new SshClientOptions
        {
            User = socket,
            Key = key,
            VerifyHostKey = (_, _) => ValueTask.FromResult(true),
            TimeProvider = TimeProvider.System,
        }, CancellationToken.None);
        using var writer = new SshWriter();
        writer.WriteString("127.0.0.1");
        writer.WriteUInt32((uint)echoPort);
        writer.WriteString("127.0.0.1");
        writer.WriteUInt32(0);
        var channel = await connection.OpenChannelAsync("direct-tcpip", writer.WrittenMemory.ToArray(), CancellationToken.None);
        await channel.WriteAsync("x"u8.ToArray(), CancellationToken.None);
        while ((await channel.ReadAsync(CancellationToken.None)).Kind != SshChannelEventKind.Data)
        {
            // What came first was a window or a request.
        }

        return connection;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var key in _keys)
            key.Dispose();
        _http.Dispose();
        await Grid.DisposeAsync();
    }
}
