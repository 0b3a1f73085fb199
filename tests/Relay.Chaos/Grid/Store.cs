using Npgsql;
using Relay.Chaos.History;
using Relay.Chaos.Network;
using Relay.TestKit.Processes;

namespace Relay.Chaos.Grid;

/// <summary>
/// PostgreSQL twice: a primary and a synchronous standby, each in a node of its own, and an address that is always with the
/// primary. Their clock is what <see cref="SetClockAsync"/> says (libfaketime), so the database's clock can jump while everybody
/// else's goes on.
/// </summary>
internal sealed class Store : IAsyncDisposable
{
    public const string NodeA = "store-a";
    public const string NodeB = "store-b";

    /// <summary>Where silos find it.</summary>
    public const string Address = "10.77.0.40";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan GoodbyeLimit = TimeSpan.FromSeconds(5);
    private readonly NodeNetwork _network;
    private readonly Cuts _cuts;
    private readonly RunHistory _history;
    private readonly string _folder;
    private readonly string _programs;
    private readonly string _faketime;
    private readonly Dictionary<string, NodeProcess> _servers = [];

    private Store(NodeNetwork network, Cuts cuts, RunHistory history, string folder)
    {
        (_network, _cuts, _history, _folder) = (network, cuts, history, folder);
        _programs = Directory.GetDirectories("/usr/lib/postgresql").OrderDescending().Select(d => Path.Combine(d, "bin")).FirstOrDefault(d => File.Exists(Path.Combine(d, "postgres")))
            ?? throw new ChaosSetupException("PostgreSQL is missing: run `make setup`.");
        _faketime = Directory.GetDirectories("/usr/lib", "*-linux-gnu").Select(d => Path.Combine(d, "faketime/libfaketime.so.1")).FirstOrDefault(File.Exists)
            ?? throw new ChaosSetupException("libfaketime is missing: run `make setup`.");
    }

    /// <summary>The node of the primary.</summary>
    public string Primary { get; private set; } = NodeA;

    private string Standby => Primary == NodeA ? NodeB : NodeA;

    public static async Task<Store> StartAsync(NodeNetwork network, Cuts cuts, RunHistory history, string folder)
    {
        var store = new Store(network, cuts, history, Path.Combine(folder, "store"));
        Directory.CreateDirectory(store._folder);
        await store.SetClockAsync(TimeSpan.Zero);
        await RunAsync("/usr/bin/chown", "-R", "postgres:", store._folder);
        await store.AsPostgresAsync(NodeA, "initdb", "-D", store.Data(NodeA), "-A", "trust", "-U", "relay", "-N");
        await File.AppendAllTextAsync(Path.Combine(store.Data(NodeA), "pg_hba.conf"), "host all all 10.77.0.0/24 trust\nhost replication all 10.77.0.0/24 trust\n");
        await store.StartAsync(NodeA);
        await store.MoveAddressAsync(NodeA);
        await store.ExecuteAsync("CREATE DATABASE relay");
        await store.BuildStandbyAsync();
        return store;
    }

    /// <summary>For the driver itself, by the primary's own socket.</summary>
    public NpgsqlDataSource Open() => NpgsqlDataSource.Create($"Host={Data(Primary)}.sockets;Username=relay;Database=relay;Pooling=false;Timeout=5;Command Timeout=30");

    /// <summary>As a crash of the primary: no goodbye to anybody.</summary>
    public async Task CrashAsync()
    {
        await KillAsync(Primary);
        await _servers[Primary].Ended;
    }

    /// <summary>Starts the primary again after <see cref="CrashAsync"/>.</summary>
    public Task RestartAsync() => StartAsync(Primary);

    /// <summary>The server and all its processes stand still.</summary>
    public async Task FreezeAsync()
    {
        foreach (var pid in await PidsAsync(Primary))
            await TrySignalAsync("STOP", pid);
    }

    public async Task ThawAsync()
    {
        foreach (var pid in await PidsAsync(Primary))
            await TrySignalAsync("CONT", pid);
    }

    /// <summary>The primary crashes, the standby takes over, the address with it.</summary>
    public async Task FailOverAsync(TimeSpan between)
    {
        await CrashAsync();
        await Task.Delay(between, TimeProvider.System);
        var promoted = Standby;
        await _network.RunAsync(Primary, ["/usr/sbin/ip", "address", "del", $"{Address}/24", "dev", "eth0"]);
        Primary = promoted;
        await ExecuteAsync("SELECT pg_promote(true, 30)", database: "postgres");
        await MoveAddressAsync(promoted);
    }

    /// <summary>A new standby from the primary, in place of the old server; writes are synchronous again from then on.</summary>
    public async Task BuildStandbyAsync()
    {
        var node = Standby;
        if (Directory.Exists(Data(node)))
            Directory.Delete(Data(node), recursive: true);
        await AsPostgresAsync(node, "pg_basebackup", "-h", _network.Address(Primary), "-U", "relay", "-D", Data(node), "-R", "-X", "stream", "-c", "fast");
        await StartAsync(node);
        await ExecuteAsync("ALTER SYSTEM SET synchronous_standby_names = '*'", database: "postgres");
        await ExecuteAsync("SELECT pg_reload_conf()", database: "postgres");
    }

    /// <summary>Sets the store's clock off by so much, from now on.</summary>
    public async Task SetClockAsync(TimeSpan offset)
    {
        var file = Path.Combine(_folder, "clock");
        await File.WriteAllTextAsync(file + ".new", $"{(offset < TimeSpan.Zero ? "-" : "+")}{Math.Abs(offset.TotalSeconds):0}\n");
        File.SetUnixFileMode(file + ".new", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
        File.Move(file + ".new", file, overwrite: true);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var (node, server) in _servers)
        {
            // At once, but so that it gives its shared memory back: nobody else does.
            foreach (var pid in await PidsAsync(node))
                await TrySignalAsync("CONT", pid);
            if (!server.HasExited)
                await TrySignalAsync("QUIT", server.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
            await Task.WhenAny(server.Ended, Task.Delay(GoodbyeLimit, TimeProvider.System));
            await KillAsync(node);
            await server.DisposeAsync();
        }
    }

    private string Data(string node) => Path.Combine(_folder, node);

    private async Task StartAsync(string node)
    {
        if (_servers.Remove(node, out var old))
            await old.DisposeAsync();
        Directory.CreateDirectory(Data(node) + ".sockets");
        await RunAsync("/usr/bin/chown", "postgres:", Data(node) + ".sockets");
        string[] command =
        [
            "/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "/usr/bin/env", $"LD_PRELOAD={_faketime}", $"FAKETIME_TIMESTAMP_FILE={Path.Combine(_folder, "clock")}",
            // Not read at every call: PostgreSQL asks for the time in signal handlers, where reading a file may wait for a lock of its own thread for ever.
            "FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", Path.Combine(_programs, "postgres"), "-D", Data(node), "-k", Data(node) + ".sockets",
            "-c", "listen_addresses=*", "-c", "fsync=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB", "-c", "dynamic_shared_memory_type=mmap", "-c", "log_checkpoints=off", "-c", "wal_sender_timeout=5s", "-c", "wal_receiver_timeout=5s",
        ];
        var server = NodeProcess.Start(node, _network.Enter(node, command), new Dictionary<string, string?>(), "/", _history, static _ => { });
        _servers[node] = server;
        if (await server.WaitForAsync("ready to accept", Patience) is null)
            throw new InvalidOperationException($"PostgreSQL in {node} does not start:\n{server.Output}");
    }

    private async Task MoveAddressAsync(string node)
    {
        await _network.RunAsync(node, ["/usr/sbin/ip", "address", "add", $"{Address}/24", "dev", "eth0"]);
        _cuts.MoreAddresses.Clear();
        _cuts.MoreAddresses[node] = [Address];
        await _cuts.RefreshAsync();
        // Whoever knew the old place asks anew.
        foreach (var other in _network.Nodes)
            await _network.RunAsync(other, ["/usr/sbin/ip", "neighbour", "flush", "dev", "eth0"]);
    }

    private async Task ExecuteAsync(string sql, string database = "postgres")
    {
        await using var source = NpgsqlDataSource.Create($"Host={Data(Primary)}.sockets;Username=relay;Database={database};Pooling=false");
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    private async Task AsPostgresAsync(string node, string program, params string[] arguments) =>
        await _network.RunAsync(node, ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", Path.Combine(_programs, program), .. arguments]);

    private async Task<string[]> PidsAsync(string node)
    {
        var pids = await _network.PidsAsync(node);
        return [.. pids.Where(IsPostgres)];
    }

    // Until there is none: a server forks while it is looked at, and what it has forked holds its output.
    private async Task KillAsync(string node)
    {
        while (await PidsAsync(node) is { Length: > 0 } pids)
        {
            foreach (var pid in pids)
                await TrySignalAsync("KILL", pid);
        }
    }

    private static bool IsPostgres(string pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/comm").StartsWith("postgres", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static async Task TrySignalAsync(string signal, string pid) => await Command.RunAsync("/bin/kill", [$"-{signal}", pid]);

    private static async Task RunAsync(string program, params string[] arguments)
    {
        var result = await Command.RunAsync(program, arguments);
        if (result.ExitCode != 0)
            throw new InvalidOperationException($"{program}: {result}");
    }
}
