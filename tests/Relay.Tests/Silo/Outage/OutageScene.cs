using System.IO.Compression;
using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Relay.Protocol.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Recordings;
using Relay.Silo.Storage;
using Relay.TestKit;
using Relay.Tests.Silo.Grid;
using SpoolQueue = Relay.Silo.Spool.Spool;

namespace Relay.Tests.Silo.Outage;

/// <summary>How the database goes away.</summary>
public enum Outage
{
    /// <summary>Stopped: connections are reset and refused.</summary>
    Refused,

    /// <summary>Cut off: nothing answers, nothing is reset.</summary>
    Swallowed,
}

/// <summary>A silo whose way to the database can be cut, while the test still reaches it. Caller disposes.</summary>
internal sealed class OutageScene : IAsyncDisposable
{
    private readonly StoreProxy _proxy;

    private OutageScene(TestSilo silo, StoreProxy proxy) => (Silo, _proxy) = (silo, proxy);

    public TestSilo Silo { get; }

    public StoreHealth Health => Silo.Get<StoreHealth>();

    public SpoolQueue Spool => Silo.Get<SpoolQueue>();

    public static async Task<OutageScene> StartAsync(long? spoolLimit = null, OutageScene? with = null, string name = "silo-1", string? state = null)
    {
        var postgres = with?.Silo.Database ?? await PrivatePostgres.CreateAsync();
        var proxy = new StoreProxy(postgres.ConnectionString);
        return new OutageScene(await TestSilo.StartAsync(with?.Silo, name, postgres, proxy.ConnectionString, spoolLimit, state), proxy);
    }

    /// <summary>A silo on what a SIGKILL of this one would leave of its snapshot now, under a name of its own; the database is away for it.</summary>
    /// <param name="copyNow">False: the test has put one there.</param>
    public async Task<OutageScene> StartFromDiskAsync(string name, bool copyNow = true)
    {
        var options = Silo.Get<SiloOptions>();
        var (from, to) = (options.SnapshotDirectory, (options with { Name = name }).SnapshotDirectory);
        Directory.CreateDirectory(to);
        Directory.CreateDirectory((options with { Name = name }).SpoolDirectory);
        foreach (var file in copyNow ? Directory.GetFiles(from) : [])
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)), overwrite: true);
        var proxy = new StoreProxy(Silo.Database.ConnectionString);
        proxy.Refuse();
        return new OutageScene(await TestSilo.StartAsync(Silo, name, Silo.Database, proxy.ConnectionString), proxy);
    }

    /// <summary>What this silo decides by is on its disk.</summary>
    public Task KeptAsync() => Silo.Get<LocalSnapshotKeeper>().KeepAsync(now: true, TestContext.Current.CancellationToken);

    /// <summary>What /health says.</summary>
    public async Task<JsonElement> HealthAsync()
    {
        using var client = new HttpClient { BaseAddress = new Uri(Silo.Host.ApiAddress) };
        return await client.GetFromJsonAsync<JsonElement>("/health", TestContext.Current.CancellationToken);
    }

    /// <summary>What /metrics says of one metric.</summary>
    public async Task<string> MetricAsync(string name)
    {
        using var client = new HttpClient { BaseAddress = new Uri(Silo.Host.ApiAddress) };
        var text = await client.GetStringAsync("/metrics", TestContext.Current.CancellationToken);
        return text.Split('\n').Single(l => l.StartsWith(name + " ", StringComparison.Ordinal))[(name.Length + 1)..];
    }

    /// <summary>Connections to the database that are open or were tried.</summary>
    public int Accepted => _proxy.Accepted;

    /// <summary>Takes the database away; returns when the silo knows, or at once.</summary>
    public async Task CutAsync(Outage how, bool known = true)
    {
        if (how == Outage.Refused)
            _proxy.Refuse();
        else
            _proxy.Swallow();
        if (known)
            await Eventually.TrueAsync(() => !Health.Reachable, "the silo knows that the database is away");
    }

    /// <summary>Gives it back.</summary>
    public void Forward() => _proxy.Forward();

    /// <summary>Gives it back; returns when everything is delivered.</summary>
    public async Task HealAsync()
    {
        _proxy.Forward();
        await Health.WhenReachableAsync(TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(() => Spool.IsEmpty, "everything is delivered");
    }

    public static async Task<(HttpStatusCode Status, string? Code)> SendChunkAsync(TestPeer gateway, Guid session, int sequence, string lines, bool last = false, int recording = 0)
    {
        using var buffer = new MemoryStream();
        using (var gzip = new GZipStream(buffer, CompressionLevel.NoCompression))
            gzip.Write(Encoding.UTF8.GetBytes(lines));
        using var response = await gateway.PostAsync($"{GridRoutes.RecordingChunk(session, recording, sequence)}?last={(last ? "true" : "false")}&title=t", new ByteArrayContent(buffer.ToArray()));
        return await ResultAsync(response);
    }

    public static async Task<(HttpStatusCode Status, string? Code)> SendEventAsync(TestPeer gateway, Guid session, string type, int number)
    {
        var metadata = new Dictionary<string, string> { ["seq"] = $"{number}" };
        using var response = await gateway.PostAsync(GridRoutes.Events(session), new SessionEventRequest(type, "done", metadata), GridJson.Default.SessionEventRequest);
        return await ResultAsync(response);
    }

    public static async Task<(HttpStatusCode Status, string? Message)> TryOpenAsync(TestPeer gateway, ReadOnlyMemory<byte> key, string socket)
    {
        var request = new OpenSessionRequest(Convert.ToBase64String(key.Span), socket, null, "192.0.2.1", 40000, "SSH-2.0-test");
        using var response = await gateway.PostAsync(GridRoutes.Sessions, request, GridJson.Default.OpenSessionRequest);
        var body = await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken);
        return (response.StatusCode, response.IsSuccessStatusCode ? null : JsonSerializer.Deserialize(body, GridJson.Default.GridError)?.ErrorMessage);
    }

    public async Task<string> ReadRecordingAsync(Guid session)
    {
        var text = new StringBuilder();
        await foreach (var piece in Silo.Get<IRecordingReader>().ReadAsync(session, 0, TestContext.Current.CancellationToken))
            text.Append(Encoding.UTF8.GetString(piece.Span));
        return text.ToString();
    }

    public Task<int> CountAsync(string what, Guid session) => Silo.QueryAsync<int>($"SELECT count(*)::int FROM {what}", new { session });

    public async ValueTask DisposeAsync()
    {
        await Silo.DisposeAsync();
        _proxy.Dispose();
    }

    private static async Task<(HttpStatusCode, string?)> ResultAsync(HttpResponseMessage response)
    {
        if (response.IsSuccessStatusCode)
            return (response.StatusCode, null);
        var body = await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken);
        return (response.StatusCode, JsonSerializer.Deserialize(body, GridJson.Default.GridError)!.Code);
    }
}
