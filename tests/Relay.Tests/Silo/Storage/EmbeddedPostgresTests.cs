using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Relay.Silo.Storage;
using Xunit;

namespace Relay.Tests.Silo.Storage;

public sealed class EmbeddedPostgresTests : IDisposable
{
    private readonly string _directory = Path.Combine("/tmp", "relay-pgtest-" + Guid.NewGuid().ToString("N")[..8]);

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        if (Directory.Exists(_directory))
            Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task A_second_start_finds_the_data_of_the_first()
    {
        await using (var first = await StartAsync())
        {
            await first.CreateDatabaseAsync("kept", null, Cancel);
            await RunAsync(first, "kept", "CREATE TABLE t AS SELECT 42 AS answer");
        }
        await using var second = await StartAsync();
        await second.CreateDatabaseAsync("kept", null, Cancel);
        Assert.Equal(42, await RunAsync(second, "kept", "SELECT answer FROM t"));
    }

    [Fact]
    public async Task A_stale_pid_file_of_another_program_does_not_stop_the_start()
    {
        await using (await StartAsync())
        {
        }
        // Our own process has this number, and it is no PostgreSQL: what a power cut and a reused number leave behind.
        await File.WriteAllTextAsync(Path.Combine(_directory, "data", "postmaster.pid"), $"{Environment.ProcessId}\n{_directory}/data\n0\n5432\n{_directory}/run\n\n0 0\n", Cancel);
        await using var again = await StartAsync();
        Assert.Equal(1, await RunAsync(again, "postgres", "SELECT 1"));
    }

    [Fact]
    public async Task Two_owners_of_one_folder_are_refused_with_the_reason()
    {
        await using var first = await StartAsync();
        var refused = await Assert.ThrowsAsync<StorageException>(StartAsync);
        Assert.Contains("another silo runs the private PostgreSQL", refused.Message, StringComparison.Ordinal);
        Assert.Equal(1, await RunAsync(first, "postgres", "SELECT 1"));
    }

    [Fact]
    public async Task The_server_is_not_reachable_over_the_network_and_not_run_by_root()
    {
        await using var server = await StartAsync();
        Assert.Equal("", await RunAsync(server, "postgres", "SHOW listen_addresses"));
        var pid = await ServerAsync();
        var uid = (await File.ReadAllLinesAsync($"/proc/{pid}/status", Cancel)).Single(l => l.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[1];
        Assert.NotEqual("0", uid);
    }

    [Fact]
    public async Task Stopping_ends_the_server_process()
    {
        int pid;
        await using (await StartAsync())
            pid = await ServerAsync();
        Assert.False(Directory.Exists($"/proc/{pid}") && !IsZombie(pid));
        Assert.False(File.Exists(Path.Combine(_directory, "data", "postmaster.pid")));
    }

    // The silo still has rows to write when Ctrl-C has reached everything in the terminal's session.
    [Fact]
    public async Task The_server_is_in_a_session_of_its_own()
    {
        await using var server = await StartAsync();
        Assert.NotEqual(SessionOf(Environment.ProcessId), SessionOf(await ServerAsync()));
    }

    [Fact]
    public async Task A_server_whose_owner_and_guardian_were_killed_is_stopped_and_its_data_kept()
    {
        await using (var first = await StartAsync())
        {
            await first.CreateDatabaseAsync("kept", null, Cancel);
            await RunAsync(first, "kept", "CREATE TABLE t AS SELECT 42 AS answer");
            var session = SessionOf(await ServerAsync());
            foreach (var guardian in Process.GetProcessesByName("sh").Where(p => SessionOf(p.Id) == session))
            {
                guardian.Kill();
                guardian.Dispose();
            }
        }

        var orphan = await ServerAsync();
        await using var second = await StartAsync();
        Assert.NotEqual(orphan, await ServerAsync());
        Assert.Equal(42, await RunAsync(second, "kept", "SELECT answer FROM t"));
    }

    [Fact]
    public async Task A_long_path_still_gets_a_socket()
    {
        var deep = Path.Combine(_directory, new string('d', 60), new string('e', 60));
        await using var server = await EmbeddedPostgres.StartAsync(deep, durable: false, NullLogger.Instance, TimeProvider.System, Cancel);
        Assert.True(server.SocketDirectory.Length < 60);
        Assert.Equal(1, await RunAsync(server, "postgres", "SELECT 1"));
        Directory.Delete(server.SocketDirectory, recursive: true);
    }

    private async Task<int> ServerAsync() =>
        int.Parse((await File.ReadAllLinesAsync(Path.Combine(_directory, "data", "postmaster.pid"), Cancel))[0], CultureInfo.InvariantCulture);

    // proc(5): pid (comm) state ppid pgrp session; 0 for a process that has just ended.
    private static int SessionOf(int pid)
    {
        try
        {
            var stat = File.ReadAllText($"/proc/{pid}/stat");
            return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[3], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return 0;
        }
    }

    private static bool IsZombie(int pid) => File.ReadAllText($"/proc/{pid}/stat").Contains(") Z ", StringComparison.Ordinal);

    private Task<EmbeddedPostgres> StartAsync() =>
        EmbeddedPostgres.StartAsync(_directory, durable: false, NullLogger.Instance, TimeProvider.System, Cancel);

    private static async Task<object?> RunAsync(EmbeddedPostgres server, string database, string sql)
    {
        await using var connection = new NpgsqlConnection(server.ConnectionString(database) + ";Pooling=false");
        await connection.OpenAsync(Cancel);
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync(Cancel);
    }
}
