using System.Data.Common;
using Npgsql;

namespace Relay.Silo.Storage;

/// <summary>
/// The silo's database: an existing one, or a private one under the state folder; migrated when open.
/// Safe for concurrent use. Caller disposes, after everything that uses <see cref="DataSource"/>.
/// </summary>
internal sealed class RelayDatabase : IAsyncDisposable
{
    private const string NotValid = "RELAY_DATABASE is not a valid connection string; example: Host=db;Database=relay;Username=relay;Password=…";

    private readonly EmbeddedPostgres? _embedded;

    private RelayDatabase(NpgsqlDataSource dataSource, string connectionString, IStoreProbe probe, EmbeddedPostgres? embedded)
    {
        ConnectionString = connectionString;
        DataSource = dataSource;
        Probe = probe;
        _embedded = embedded;
    }

    /// <summary>Pool of connections to the migrated database.</summary>
    public NpgsqlDataSource DataSource { get; }

    /// <summary>For whom that must have a pool of its own. SECURITY: holds the password.</summary>
    public string ConnectionString { get; }

    /// <summary>Asks whether the database is there, apart from the pool.</summary>
    public IStoreProbe Probe { get; }

    /// <summary>True when this process runs the database itself.</summary>
    public bool IsPrivate => _embedded is not null;

    /// <summary>Opens, and on first use creates, the database.</summary>
    /// <param name="connectionString">Npgsql connection string; null or empty: a private PostgreSQL in <paramref name="stateDirectory"/>/pg.</param>
    /// <exception cref="StorageException">The database cannot be reached or used.</exception>
    public static async Task<RelayDatabase> OpenAsync(string? connectionString, string stateDirectory, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellationToken)
    {
        EmbeddedPostgres? embedded = null;
        NpgsqlDataSource? source = null;
        try
        {
            if (string.IsNullOrEmpty(connectionString))
            {
                embedded = await EmbeddedPostgres.StartAsync(Path.Combine(stateDirectory, "pg"), durable: true, loggers.CreateLogger<EmbeddedPostgres>(), time, cancellationToken);
                await embedded.CreateDatabaseAsync("relay", template: null, cancellationToken);
                connectionString = embedded.ConnectionString("relay");
            }
            source = CreateDataSource(connectionString);
            // Nobody waits for a start: a busy machine may take its time. What the operator says holds here, too.
            await using var patient = Build(new NpgsqlConnectionStringBuilder($"Timeout=15;Command Timeout=60;{connectionString}") { Pooling = false });
            await Migrations.ApplyAsync(patient, loggers.CreateLogger("Relay.Silo.Storage.Migrations"), cancellationToken);
            return new RelayDatabase(source, connectionString, CreateProbe(connectionString), embedded);
        }
        catch (Exception exception)
        {
            if (source is not null)
                await source.DisposeAsync();
            if (embedded is not null)
                await embedded.DisposeAsync();
            if (exception is NpgsqlException)
                throw new StorageException($"cannot use the database: {exception.Message}", exception);
            if (exception is ArgumentException)
                // The parser's message may quote the string, and with it the password.
                throw new StorageException(NotValid);
            throw;
        }
    }

    /// <summary>A database that is away now: every use of it fails until it is back and <paramref name="check"/> has found it to be the right one.</summary>
    /// <param name="check">Of the database, migrated; throws when it must not be used.</param>
    /// <exception cref="StorageException">The connection string is not valid.</exception>
    public static RelayDatabase OpenLater(string connectionString, Func<NpgsqlDataSource, CancellationToken, Task> check)
    {
        try
        {
            var settings = new NpgsqlConnectionStringBuilder(connectionString);
            var admission = new StoreAdmission(CreateProbe(connectionString), Build(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }), check);
            return new RelayDatabase(Build(settings, admission), connectionString, admission, embedded: null);
        }
        catch (ArgumentException)
        {
            throw new StorageException(NotValid);
        }
    }

    /// <summary>A pool for a database that is already migrated; for tests and tools.</summary>
    public static NpgsqlDataSource CreateDataSource(string connectionString) => Build(new NpgsqlConnectionStringBuilder(connectionString));

    /// <summary>A probe of that database with a connection of its own. Caller disposes.</summary>
    public static StoreProbe CreateProbe(string connectionString) => new(Build(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }));

    private static NpgsqlDataSource Build(NpgsqlConnectionStringBuilder settings, StoreAdmission? admission = null)
    {
        DapperSetup.Apply();
        // The driver's builder "contains" every keyword it knows; this one, those that were given, under the driver's names.
        var given = new DbConnectionStringBuilder { ConnectionString = settings.ConnectionString };
        // A database that is gone must be noticed at once (the driver's own defaults are 15 and 30 s); who needs longer says so.
        if (!given.ContainsKey("Timeout"))
            settings.Timeout = 4;
        if (!given.ContainsKey("Command Timeout"))
            settings.CommandTimeout = 10;
        // A statement that is given up is not waited for: where nobody answers, its cancellation is not answered either.
        if (!given.ContainsKey("Cancellation Timeout"))
            settings.CancellationTimeout = -1;
        if (settings.Host?.Contains(',', StringComparison.Ordinal) != true)
            return Builder().Build();

        // Several hosts are one database that fails over: whichever takes writes. What was known of a host is old at once.
        var session = settings.TargetSessionAttributes is null || settings.TargetSessionAttributes.Equals("any", StringComparison.OrdinalIgnoreCase)
            ? TargetSessionAttributes.Primary
            : Enum.Parse<TargetSessionAttributes>(settings.TargetSessionAttributes.Replace("-", "", StringComparison.Ordinal), ignoreCase: true);
        settings.TargetSessionAttributes = null;
        settings.HostRecheckSeconds = 0;
        return Builder().BuildMultiHost().WithTargetSession(session);

        NpgsqlDataSourceBuilder Builder()
        {
            var builder = new NpgsqlDataSourceBuilder(settings.ConnectionString);
            if (admission is not null)
                builder.UsePhysicalConnectionInitializer(_ => admission.Demand(), _ => admission.DemandAsync());
            return builder;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Probe is IAsyncDisposable probe)
            await probe.DisposeAsync();
        await DataSource.DisposeAsync();
        if (_embedded is not null)
            await _embedded.DisposeAsync();
    }
}
