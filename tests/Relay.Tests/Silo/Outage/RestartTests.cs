using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Relay.Silo.History;
using Relay.Silo.Hosting;
using Relay.Silo.Storage;
using Relay.TestKit;
using Relay.Tests.Silo.Grid;
using Relay.Tests.Silo.Sessions;

namespace Relay.Tests.Silo.Outage;

/// <summary>Silos that are started, or die, while the database is away.</summary>
public sealed class RestartTests
{
    [Theory]
    [InlineData("none is kept")]
    [InlineData("one is torn")]
    [InlineData("one is too old")]
    [InlineData("one was overtaken")]
    public async Task A_silo_that_is_started_again_without_the_database_or_a_snapshot_says_so_and_joins_when_it_is_back(string because)
    {
        await using var postgres = await PrivatePostgres.CreateAsync();
        using var proxy = new StoreProxy(postgres.ConnectionString);
        using var state = new TempDir("relay-restart-");
        var options = Options(state, proxy.ConnectionString) with { SnapshotMaxAge = because == "none is kept" ? TimeSpan.Zero : TimeSpan.FromHours(1) };
        var cancel = TestContext.Current.CancellationToken;

        // A first start ever has nothing to wait for.
        proxy.Refuse();
        Assert.Contains("cannot use the database", (await Assert.ThrowsAsync<StorageException>(() => StartAsync())).Message, StringComparison.Ordinal);
        proxy.Forward();
        await using (await StartAsync())
        {
        }

        Assert.Equal(because != "none is kept", Directory.Exists(options.SnapshotDirectory));
        if (because == "one is torn")
            await using (var file = File.OpenWrite(Path.Combine(options.SnapshotDirectory, "grid")))
                file.SetLength(file.Length - 1);
        else if (because == "one is too old")
            options = options with { SnapshotMaxAge = TimeSpan.FromTicks(1) };
        else if (because == "one was overtaken")
            File.Delete(Assert.Single(Directory.GetFiles(options.SnapshotDirectory, "*.org")));

        proxy.Refuse();
        var starting = StartAsync();
        using var client = new HttpClient { BaseAddress = new Uri($"http://{options.ApiListen}") };
        JsonElement health = default;
        await Eventually.TrueAsync(async () =>
        {
            try
            {
                health = await client.GetFromJsonAsync<JsonElement>("/health", cancel);
                return true;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        }, "it answers");
        Assert.StartsWith("read-only: started without the store", health.GetProperty("status").GetString(), StringComparison.Ordinal);
        Assert.False(health.GetProperty("store").GetProperty("reachable").GetBoolean());
        Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/healthz", cancel)).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.GetAsync("/readyz", cancel)).StatusCode);
        using var refused = await client.PostAsync("/api/v1/login", null, cancel);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
        Assert.Equal("store_unavailable", (await refused.Content.ReadFromJsonAsync<JsonElement>(cancel)).GetProperty("code").GetString());
        Assert.False(starting.IsCompleted);

        proxy.Forward();
        await using var silo = await starting;
        Assert.Equal("ok", (await client.GetFromJsonAsync<JsonElement>("/health", cancel)).GetProperty("status").GetString());

        Task<SiloHost> StartAsync() => SiloHost.StartAsync(options, TimeProvider.System, configure: null, cancel);
    }

    [Fact]
    public async Task A_silo_that_loses_the_database_while_it_starts_starts_anew_and_joins_when_it_is_back()
    {
        await using var postgres = await PrivatePostgres.CreateAsync();
        using var proxy = new StoreProxy(postgres.ConnectionString);
        using var state = new TempDir("relay-restart-");
        var cancel = TestContext.Current.CancellationToken;
        var cut = new CutAtStart(proxy);
        var starting = SiloHost.StartAsync(Options(state, proxy.ConnectionString), TimeProvider.System, services => services.AddHostedService(_ => cut), cancel);
        await cut.Done.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, cancel);
        proxy.Forward();
        await using var silo = await starting;
        using var client = new HttpClient { BaseAddress = new Uri(silo.ApiAddress) };
        await Eventually.TrueAsync(async () => (await client.GetFromJsonAsync<JsonElement>("/health", cancel)).GetProperty("status").GetString() == "ok", "it has joined");
        Assert.Equal(1, cut.Cuts);
        // The grid was set up by the first of the two.
        Assert.NotNull(silo.FirstPassword);
    }

    [Fact]
    public async Task What_a_silo_that_died_in_the_outage_had_acknowledged_is_delivered_by_its_next_start_and_once()
    {
        await using var outage = await OutageScene.StartAsync();
        var live = await LiveSessionScene.OpenAsync(outage.Silo, "gw-1");
        var socket = await outage.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { live.Socket });
        await outage.CutAsync(Outage.Refused);
        var session = (await live.Gateway.OpenAsync(outage.Silo.Certificate(live.User).Blob, socket)).SessionId;
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(live.Gateway, session, i, $"line {i}\n", last: i == 19));
            Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendEventAsync(live.Gateway, session, "shell", i));
        }

        Assert.Equal(HttpStatusCode.NoContent, (await live.Gateway.EndAsync(session, "closed by user", 3, 4)).StatusCode);

        // The disk as a SIGKILL at this moment leaves it, and a process that finds it. The first one lives on: both deliver the same.
        var former = outage.Silo.Host.Services.GetService(typeof(SiloOptions)) as SiloOptions;
        var next = Path.Combine(Path.GetDirectoryName(former!.SpoolDirectory)!, "silo-2");
        Directory.CreateDirectory(next);
        foreach (var file in Directory.GetFiles(former.SpoolDirectory, "*.seg"))
            File.Copy(file, Path.Combine(next, Path.GetFileName(file)));
        await using (var again = await TestSilo.StartAsync(outage.Silo, "silo-2"))
            await Eventually.TrueAsync(() => again.Get<Relay.Silo.Spool.Spool>().IsEmpty, "the next start has delivered");
        Assert.Equal(20, await outage.CountAsync("recording_chunk WHERE session_id = @session", session));

        await outage.HealAsync();
        Assert.Equal(20, await outage.CountAsync("session_event WHERE session_id = @session AND type = 'shell'", session));
        Assert.Equal(20, await outage.CountAsync("recording_chunk WHERE session_id = @session", session));
        Assert.Equal(1, await outage.CountAsync("audit_event WHERE action_type = 'session.open' AND detail->>'session_id' = @session::text", session));
        Assert.Equal("closed by user", await outage.Silo.QueryAsync<string>("SELECT outcome FROM session WHERE session_id = @session", new { session }));
        Assert.Equal(string.Concat(Enumerable.Range(0, 20).Select(i => $"line {i}\n")), await outage.ReadRecordingAsync(session));
        Assert.Equal(0, outage.Silo.Get<ParkedFacts>().Dropped);
    }

    /// <summary>Takes the database away when all other services have started, once.</summary>
    private sealed class CutAtStart(StoreProxy proxy) : IHostedService
    {
        private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Done => _done.Task;

        public int Cuts { get; private set; }

        public Task StartAsync(CancellationToken cancellationToken)
        {
            if (!_done.Task.IsCompleted)
            {
                proxy.Refuse();
                Cuts++;
            }

            return Task.CompletedTask;
        }

        public Task StopAsync(CancellationToken cancellationToken)
        {
            _done.TrySetResult();
            return Task.CompletedTask;
        }
    }

    private static SiloOptions Options(TempDir state, string database)
    {
        // Between two starts nobody has the port: nobody else in these tests uses the address.
        using var free = new TcpListener(IPAddress.Parse("127.0.0.9"), 0);
        free.Start();
        return new SiloOptions
        {
            Database = database,
            StateDirectory = state.Path,
            MasterKeyFile = state.File("master.key"),
            Name = "silo-1",
            ApiListen = (IPEndPoint)free.LocalEndpoint,
            GridListen = new IPEndPoint(IPAddress.Loopback, 0),
            ConnectorListen = new IPEndPoint(IPAddress.Loopback, 0),
            LogLevel = Microsoft.Extensions.Logging.LogLevel.None,
        };
    }
}
