using System.Globalization;
using Npgsql;
using Relay.Silo.Storage;

namespace Relay.TestKit.Processes;

/// <summary>
/// A PostgreSQL server of one test's own on a TCP port, to be stopped, frozen, started again, copied to a standby and promoted.
/// Caller disposes.
/// </summary>
public sealed class OwnPostgres : IAsyncDisposable
{
    private const int SigInt = 2;
    private const int SigKill = 9;
    private const int SigCont = 18;
    private const int SigStop = 19;

    private readonly PostgresPrograms _programs = PostgresPrograms.Find();
    private readonly TempDir _folder;
    private readonly string _data;
    private RunningProcess? _server;

    private OwnPostgres(string name)
    {
        Name = name;
        _folder = new TempDir($"relay-{name}-");
        _data = _folder.File("data");
        _programs.GiveTo(_folder.Path, _folder.File("run"));
    }

    public string Name { get; }

    public int Port { get; } = FreePort.Next();

    /// <summary>Npgsql connection string of the database "relay".</summary>
    public string ConnectionString => Settings($"127.0.0.1:{Port.ToString(CultureInfo.InvariantCulture)}");

    /// <summary>The same by its Unix socket, which is there for every network namespace.</summary>
    public string LocalConnectionString => Settings(_folder.File("run")) + $";Port={Port.ToString(CultureInfo.InvariantCulture)}";

    /// <summary>One database on two hosts.</summary>
    public static string ConnectionStringOf(OwnPostgres one, OwnPostgres other) => Settings($"127.0.0.1:{one.Port},127.0.0.1:{other.Port}");

    /// <summary>A new server with an empty database "relay".</summary>
    public static async Task<OwnPostgres> StartAsync(string name = "postgres")
    {
        var server = new OwnPostgres(name);
        try
        {
            await server.RunAsync("initdb", "-D", server._data, "-U", "relay", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync");
            await server.StartServerAsync();
            await server.ExecuteAsync("CREATE DATABASE relay", "postgres");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>A streaming standby of this server.</summary>
    /// <param name="synchronous">Commits here wait for it from now on.</param>
    public async Task<OwnPostgres> StartStandbyAsync(bool synchronous)
    {
        var standby = new OwnPostgres("standby");
        try
        {
            await standby.RunAsync("pg_basebackup", "-h", "127.0.0.1", "-p", $"{Port}", "-U", "relay", "-D", standby._data, "-R", "-X", "stream", "-c", "fast", "--no-sync");
            await standby.StartServerAsync();
            await Eventually.TrueAsync(async () => await ScalarAsync<long>("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1, "the standby streams");
            if (synchronous)
            {
                await ExecuteAsync("ALTER SYSTEM SET synchronous_standby_names = '*'", "postgres");
                await ExecuteAsync("SELECT pg_reload_conf()", "postgres");
                await Eventually.TrueAsync(async () => await ScalarAsync<long>("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1, "the standby is synchronous");
            }

            return standby;
        }
        catch
        {
            await standby.DisposeAsync();
            throw;
        }
    }

    /// <summary>A standby becomes a server of its own, and waits for no other one.</summary>
    public async Task PromoteAsync()
    {
        // The copy says whom its primary waited for.
        await File.AppendAllTextAsync(Path.Combine(_data, "postgresql.auto.conf"), "synchronous_standby_names = ''\n");
        await ExecuteAsync("SELECT pg_reload_conf()", "postgres");
        await ExecuteAsync("SELECT pg_promote(true, 60)", "postgres");
    }

    /// <summary>Stopped as an administrator does it: what is connected is told.</summary>
    public async Task StopAsync()
    {
        _server!.Signal(SigInt);
        await _server.WaitForExitAsync();
        await _server.DisposeAsync();
        _server = null;
    }

    /// <summary>As a crash: no goodbye.</summary>
    public async Task KillAsync()
    {
        SignalAll(SigKill);
        await _server!.WaitForExitAsync();
        await _server.DisposeAsync();
        _server = null;
    }

    /// <summary>Nothing answers and nothing is reset.</summary>
    public void Freeze() => SignalAll(SigStop);

    public void Thaw() => SignalAll(SigCont);

    /// <summary>Starts the server, again or at first.</summary>
    public async Task StartServerAsync()
    {
        string[] arguments =
        [
            "-D", _data, "-k", _folder.File("run"), "-p", Port.ToString(CultureInfo.InvariantCulture), "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200",
            "-c", "shared_buffers=32MB", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "timezone=UTC",
        ];
        var command = _programs.Command("postgres", arguments);
        _server = RunningProcess.Start(Name, command.FileName, command.ArgumentList, workingDirectory: "/");
        await _server.WaitForLineAsync("ready to accept");
    }

    public async Task<T> ScalarAsync<T>(string sql)
    {
        await using var connection = new NpgsqlConnection(ConnectionString + ";Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync())!;
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
            await KillAsync();
        _folder.Dispose();
    }

    private static string Settings(string host) => $"Host={host};Username=relay;Database=relay;SSL Mode=Disable;GSS Encryption Mode=Disable";

    private async Task ExecuteAsync(string sql, string database)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(ConnectionString) { Database = database, Pooling = false }.ConnectionString);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    private async Task RunAsync(string program, params string[] arguments)
    {
        var command = _programs.Command(program, arguments);
        var result = await Command.RunAsync(command.FileName, command.ArgumentList, workingDirectory: "/");
        if (result.ExitCode != 0)
            throw new InvalidOperationException($"{program}: {result}");
    }

    // The first process before its children when it is stopped: it must not start others for them.
    private void SignalAll(int signal)
    {
        _server!.Signal(signal);
        foreach (var child in Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(IsChild).ToArray())
            RunningProcess.Signal(int.Parse(child!, CultureInfo.InvariantCulture), signal);
    }

    private bool IsChild(string? process)
    {
        if (!int.TryParse(process, CultureInfo.InvariantCulture, out _))
            return false;
        try
        {
            // "pid (name) state ppid …"; the name may hold anything.
            var stat = File.ReadAllText($"/proc/{process}/stat");
            return stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1] == _server!.Id.ToString(CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return false;
        }
    }
}
