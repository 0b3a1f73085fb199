using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Protocol.Tokens;
using Relay.Silo.Authorities;
using Relay.Silo.Identity;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;

namespace Relay.Silo;

/// <summary>
/// What has to be there before a silo can do anything: the database, its schema, the master key, the grid's keys.
/// Caller disposes, last of all.
/// </summary>
internal sealed class ControlPlane : IAsyncDisposable
{
    private ControlPlane(RelayDatabase database, SecretVault vault, AuthorityRows authorityRows, GridAuthorities authorities, Passwords passwords, ReadOnlyStart start, string? firstPassword)
    {
        AuthorityRows = authorityRows;
        Start = start;
        Database = database;
        Vault = vault;
        Authorities = authorities;
        Passwords = passwords;
        FirstPassword = firstPassword;
    }

    public RelayDatabase Database { get; }

    public SecretVault Vault { get; }

    public GridAuthorities Authorities { get; }

    /// <summary>What <see cref="Authorities"/> were opened from.</summary>
    public AuthorityRows AuthorityRows { get; }

    /// <summary>Whether this start is one without the store.</summary>
    public ReadOnlyStart Start { get; }

    public Passwords Passwords { get; }

    /// <summary>Password of <see cref="GridBootstrap.AdministratorEmail"/> when this start set up the grid; to be printed once. Null otherwise.</summary>
    public string? FirstPassword { get; }

    /// <summary>Opens everything, setting the grid up when the database is new.</summary>
    /// <exception cref="StorageException">What is wrong, and what to do about it.</exception>
    public static async Task<ControlPlane> OpenAsync(ControlPlaneOptions options, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellationToken)
    {
        PrivateFiles.CreateStateDirectory(options.StateDirectory);
        var database = await RelayDatabase.OpenAsync(options.Database, options.StateDirectory, loggers, time, cancellationToken);
        var passwords = new Passwords();
        try
        {
            var isNew = !await GridBootstrap.IsDoneAsync(database.DataSource, cancellationToken);
            var vault = new SecretVault(await MasterKey.LoadAsync(options.MasterKeyFile, mayCreate: isNew, cancellationToken));
            var first = isNew ? await GridBootstrap.RunAsync(database.DataSource, vault, passwords, options.BootstrapFile, time, cancellationToken) : null;
            await GridWireGuardKey.EnsureAsync(database.DataSource, vault, cancellationToken);
            var rows = await GridAuthorities.ReadAsync(database.DataSource, cancellationToken);
            return new ControlPlane(database, vault, rows, GridAuthorities.Open(rows, vault, time), passwords, new ReadOnlyStart(null, time.GetUtcNow()), first);
        }
        catch
        {
            passwords.Dispose();
            await database.DisposeAsync();
            throw;
        }
    }

    /// <summary>Opens what the silo's disk has, while the database is away; when that is back, it is looked at before anything uses it.</summary>
    /// <param name="database">Npgsql connection string.</param>
    /// <exception cref="StorageException">The keys do not open.</exception>
    public static ControlPlane OpenWithoutStore(string database, LocalSnapshot snapshot, SecretVault vault, TimeProvider time)
    {
        var rows = snapshot.Grid.Authorities;
        var authorities = GridAuthorities.Open(rows, vault, time);
        var store = RelayDatabase.OpenLater(database, async (source, cancellation) =>
        {
            await GridBootstrap.RequireAsync(source, rows.Grid.GridId, cancellation);
            await Migrations.ApplyAsync(source, NullLogger.Instance, cancellation);
        });
        return new ControlPlane(store, vault, rows, authorities, new Passwords(), new ReadOnlyStart(snapshot, time.GetUtcNow()), firstPassword: null);
    }

    /// <summary>Writes a token for the embedded gateway to <paramref name="path"/> (0600), unless a good one for this address is there.</summary>
    /// <param name="gridAddress">"host:port" the gateway dials first.</param>
    public async Task WriteGatewayTokenAsync(string path, string gridAddress, CancellationToken cancellationToken)
    {
        var tokens = new TokenStore(Database.DataSource, Authorities);
        if (File.Exists(path))
        {
            var present = (await File.ReadAllTextAsync(path, cancellationToken)).Trim();
            if (JsonWebToken.TryParse(present, out var parsed) && parsed.Silos.Contains(gridAddress) && await tokens.IsGatewayTokenValidAsync(present, cancellationToken))
                return;
        }
        var token = await tokens.CreateGatewayTokenAsync("embedded", [gridAddress], cancellationToken);
        await PrivateFiles.WriteAsync(path, Encoding.ASCII.GetBytes(token + "\n"), cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        Authorities.Dispose();
        Passwords.Dispose();
        await Database.DisposeAsync();
    }
}

/// <summary>Where a silo keeps what it has to keep.</summary>
internal sealed record ControlPlaneOptions
{
    /// <summary>Npgsql connection string; null or empty: a private PostgreSQL in <see cref="StateDirectory"/>/pg.</summary>
    public string? Database { get; init; }

    public required string StateDirectory { get; init; }

    public required string MasterKeyFile { get; init; }

    /// <summary>Where the first password is also written, 0600; null: nowhere.</summary>
    public string? BootstrapFile { get; init; }
}
