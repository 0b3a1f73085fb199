using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>
/// A private PostgreSQL in a folder of its own: initdb on first use, started as a child, stopped with its owner.
/// It listens on a Unix socket in a 0700 folder only, so there is no port to collide on and no password to keep.
/// Caller disposes.
/// </summary>
internal sealed partial class EmbeddedPostgres : IAsyncDisposable
{
    private const string Superuser = "relay";

    // sun_path is 108 bytes with its NUL, and PostgreSQL appends "/.s.PGSQL.5432.lock".
    private const int MaxSocketDirectory = 107 - 19;

    // The database must not outlive its owner, however that one dies: the shell holds our end of a pipe as its input
    // and asks PostgreSQL for a fast shutdown when the pipe closes. (PR_SET_PDEATHSIG is no use: it watches the thread.)
    // Nor may it die before its owner: both run in a session of their own, which the terminal's Ctrl-C does not reach.
    private const string Guardian = """
        exec 3<&0 </dev/null
        "$@" 3<&- & server=$!
        { while read -r _ <&3; do :; done; kill -INT $server; } 2>/dev/null &
        exec 3<&-
        wait $server
        """;

    private static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopDeadline = TimeSpan.FromSeconds(20);

    // What a guardian needs to notice that its owner is gone; then there is none.
    private static readonly TimeSpan GuardianDeadline = TimeSpan.FromSeconds(2);

    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly FileStream _lock;
    private readonly Process _server;
    private readonly StringBuilder _output;
    private int _disposed;

    private EmbeddedPostgres(string socketDirectory, FileStream owner, Process server, StringBuilder output, ILogger logger, TimeProvider time)
    {
        SocketDirectory = socketDirectory;
        _lock = owner;
        _server = server;
        _output = output;
        _logger = logger;
        _time = time;
    }

    /// <summary>Folder of the Unix socket; the port in its name is always 5432.</summary>
    public string SocketDirectory { get; }

    /// <summary>Connection string of <paramref name="database"/> as the instance's own superuser.</summary>
    public string ConnectionString(string database) => new NpgsqlConnectionStringBuilder
    {
        Host = SocketDirectory,
        Username = Superuser,
        Database = database,
        MaxPoolSize = 60,
        // A Unix socket needs no encryption, and a probe for it costs a round trip.
        SslMode = SslMode.Disable,
        GssEncryptionMode = GssEncryptionMode.Disable,
    }.ConnectionString;

    /// <summary>Starts the instance in <paramref name="directory"/>, creating it when there is none.</summary>
    /// <param name="durable">False turns fsync off: for tests, whose data may die with the machine.</param>
    /// <exception cref="StorageException">PostgreSQL is missing, the folder is in use or cannot be reached, or the server does not start; the message says which and what to do.</exception>
    public static async Task<EmbeddedPostgres> StartAsync(string directory, bool durable, ILogger logger, TimeProvider time, CancellationToken cancellationToken)
    {
        directory = Path.GetFullPath(directory);
        var programs = PostgresPrograms.Find();
        Directory.CreateDirectory(directory);
        var owner = TakeOwnership(directory);
        try
        {
            var data = Path.Combine(directory, "data");
            var sockets = SocketFolder(directory);
            programs.GiveTo(directory, sockets);
            if (!File.Exists(Path.Combine(data, "PG_VERSION")))
                await InitializeAsync(programs, data, durable, cancellationToken);
            await WaitForPredecessorAsync(programs, data, logger, time, cancellationToken);
            var (process, output) = Launch(programs, data, sockets, durable);
            var instance = new EmbeddedPostgres(sockets, owner, process, output, logger, time);
            try
            {
                await instance.WaitUntilReadyAsync(cancellationToken);
            }
            catch
            {
                await instance.DisposeAsync();
                throw;
            }
            LogStarted(logger, directory);
            return instance;
        }
        catch
        {
            await owner.DisposeAsync();
            throw;
        }
    }

    /// <summary>Creates <paramref name="database"/> when it does not exist.</summary>
    /// <param name="template">Database to copy; null: an empty one.</param>
    public async Task CreateDatabaseAsync(string database, string? template, CancellationToken cancellationToken)
    {
        await using var connection = new NpgsqlConnection(ConnectionString("postgres") + ";Pooling=false");
        await connection.OpenAsync(cancellationToken);
        await using (var exists = new NpgsqlCommand("SELECT 1 FROM pg_database WHERE datname = $1", connection) { Parameters = { new() { Value = database } } })
        {
            if (await exists.ExecuteScalarAsync(cancellationToken) is not null)
                return;
        }
        var sql = $"CREATE DATABASE {Quote(database)}" + (template is null ? "" : $" TEMPLATE {Quote(template)}");
        await using var create = new NpgsqlCommand(sql, connection);
        await create.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <summary>Ends the server at once, without its shutdown work: for data that will not be read again.</summary>
    internal void Kill()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        _server.Kill(entireProcessTree: true);
        _server.WaitForExit();
        _server.Dispose();
        _lock.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        try
        {
            _server.StandardInput.Close();
            using var deadline = new CancellationTokenSource(StopDeadline, _time);
            await _server.WaitForExitAsync(deadline.Token);
            LogStopped(_logger);
        }
        catch (OperationCanceledException)
        {
            LogStopTimeout(_logger, StopDeadline.TotalSeconds);
            _server.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // It never started, or ended before.
        }
        _server.Dispose();
        await _lock.DisposeAsync();
    }

    private static string Quote(string identifier) => "\"" + identifier.Replace("\"", "\"\"", StringComparison.Ordinal) + "\"";

    private static FileStream TakeOwnership(string directory)
    {
        var path = Path.Combine(directory, "owner.lock");
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException exception) when (File.Exists(path))
        {
            throw new StorageException($"another silo runs the private PostgreSQL in {directory}; give each silo its own state folder, or point them to one database with RELAY_DATABASE", exception);
        }
    }

    private static string SocketFolder(string directory)
    {
        var inside = Path.Combine(directory, "run");
        if (Encoding.UTF8.GetByteCount(inside) <= MaxSocketDirectory)
            return inside;
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(directory)).AsSpan(0, 8));
        return $"/tmp/relay-pg-{name}";
    }

    private static async Task InitializeAsync(PostgresPrograms programs, string data, bool durable, CancellationToken cancellationToken)
    {
        // A crash in initdb leaves a half-made folder, so it is made under another name and renamed when whole.
        var draft = data + ".new";
        if (Directory.Exists(draft))
            Directory.Delete(draft, recursive: true);
        List<string> arguments = ["-D", draft, "-U", Superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions"];
        if (!durable)
            arguments.Add("--no-sync");
        var start = programs.Command("initdb", arguments);
        start.RedirectStandardError = start.RedirectStandardOutput = true;
        using var process = Process.Start(start) ?? throw new StorageException("cannot start initdb");
        var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        var error = await process.StandardError.ReadToEndAsync(cancellationToken);
        await output;
        await process.WaitForExitAsync(cancellationToken);
        if (process.ExitCode != 0)
            throw new StorageException($"initdb failed: {error.Trim()}");
        Directory.Move(draft, data);
    }

    // An owner that was killed leaves a server that is shutting down; one that was killed with its guardian leaves one
    // that runs, and a power cut only its pid file. PostgreSQL removes a stale pid file by itself, but refuses to start
    // when another process now has that number.
    private static async Task WaitForPredecessorAsync(PostgresPrograms programs, string data, ILogger logger, TimeProvider time, CancellationToken cancellationToken)
    {
        var file = Path.Combine(data, "postmaster.pid");
        var began = time.GetTimestamp();
        var told = false;
        while (await FirstLineAsync(file, cancellationToken) is { } first)
        {
            if (!int.TryParse(first, CultureInfo.InvariantCulture, out var pid) || !IsServerOf(pid, data))
            {
                File.Delete(file);
                return;
            }
            var waited = time.GetElapsedTime(began);
            if (waited > StopDeadline)
                throw new StorageException($"a PostgreSQL server (process {pid}) already runs on {data} and does not end");
            if (waited > GuardianDeadline && !told)
            {
                // This folder's lock is ours, so it has no owner any more: a fast shutdown, as its guardian would ask for.
                LogPredecessor(logger, pid);
                told = true;
                var stop = programs.Command("pg_ctl", ["stop", "-D", data, "-m", "fast", "--no-wait", "--silent"]);
                stop.RedirectStandardError = true;
                using var control = Process.Start(stop) ?? throw new StorageException("cannot start pg_ctl");
                await control.WaitForExitAsync(cancellationToken);
            }
            await Task.Delay(TimeSpan.FromMilliseconds(50), time, cancellationToken);
        }
    }

    // Null: there is no such file. A server that is just ending removes it at any moment.
    private static async Task<string?> FirstLineAsync(string file, CancellationToken cancellationToken)
    {
        try
        {
            return (await File.ReadAllLinesAsync(file, cancellationToken)).FirstOrDefault("");
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    // The process with this number is a PostgreSQL server, and this folder's: a server works in its data folder.
    private static bool IsServerOf(int pid, string data)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/comm").Trim() is "postgres" or "postmaster"
                && (File.ResolveLinkTarget($"/proc/{pid}/cwd", returnFinalTarget: false)?.FullName is not { } folder || folder == Path.GetFullPath(data));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static (Process Process, StringBuilder Output) Launch(PostgresPrograms programs, string data, string sockets, bool durable)
    {
        List<string> arguments =
        [
            "-D", data, "-k", sockets, "-c", "listen_addresses=", "-c", "port=5432", "-c", "unix_socket_permissions=0700",
            "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "log_min_messages=warning", "-c", "timezone=UTC",
            // Statements carry secrets as parameters; a failing one must not put them into the log.
            "-c", "log_min_error_statement=panic", "-c", "log_parameter_max_length_on_error=0",
        ];
        if (!durable)
            arguments.AddRange(["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]);
        var server = programs.Command("postgres", arguments);
        var start = new ProcessStartInfo("setsid") { RedirectStandardInput = true, RedirectStandardError = true, WorkingDirectory = "/" };
        start.ArgumentList.Add("/bin/sh");
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(Guardian);
        start.ArgumentList.Add("relay-postgres");
        start.ArgumentList.Add(server.FileName);
        foreach (var argument in server.ArgumentList)
            start.ArgumentList.Add(argument);
        var output = new StringBuilder();
        var process = new Process { StartInfo = start };
        process.ErrorDataReceived += (_, line) =>
        {
            lock (output)
            {
                if (line.Data is not null && output.Length < 16_384)
                    output.AppendLine(line.Data);
            }
        };
        process.Start();
        process.BeginErrorReadLine();
        return (process, output);
    }

    private async Task WaitUntilReadyAsync(CancellationToken cancellationToken)
    {
        var started = _time.GetTimestamp();
        while (true)
        {
            try
            {
                await using var connection = new NpgsqlConnection(ConnectionString("postgres") + ";Pooling=false;Timeout=5");
                await connection.OpenAsync(cancellationToken);
                return;
            }
            catch (NpgsqlException exception)
            {
                if (_server.HasExited || _time.GetElapsedTime(started) > StartDeadline)
                    throw new StorageException($"the private PostgreSQL does not start: {Output()}", exception);
            }
            await Task.Delay(TimeSpan.FromMilliseconds(20), _time, cancellationToken);
        }
    }

    private string Output()
    {
        lock (_output)
            return _output.ToString().Trim();
    }
}
