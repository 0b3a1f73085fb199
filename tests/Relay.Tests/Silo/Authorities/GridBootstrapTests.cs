using Dapper;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Silo;
using Relay.Silo.Storage;
using Relay.TestKit;
using Xunit;

namespace Relay.Tests.Silo.Authorities;

public sealed class GridBootstrapTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("relay-boot-").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task Six_silos_that_start_at_once_set_up_one_grid_and_one_of_them_shows_the_password()
    {
        await using var database = await PrivatePostgres.CreateAsync(migrated: false);
        var silos = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => OpenAsync(database)));
        Assert.Single(silos, s => s.FirstPassword is not null);
        Assert.Single(silos.Select(s => s.Authorities.GridId).Distinct());
        Assert.Single(silos.Select(s => Convert.ToHexString(s.Authorities.WireGuardKey.Span)).Distinct());
        await using var connection = await database.DataSource.OpenConnectionAsync(Cancel);
        Assert.Equal(1, await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM organization"));
        Assert.Equal(1, await connection.ExecuteScalarAsync<int>("SELECT count(*) FROM app_user"));
        Assert.Equal("default-org-policy", await connection.ExecuteScalarAsync<string>("SELECT name FROM policy WHERE org_wide"));
        foreach (var silo in silos)
            await silo.DisposeAsync();
    }

    [Fact]
    public async Task A_second_start_shows_no_password_and_keeps_the_keys()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        string ca;
        await using (var first = await OpenAsync(database))
        {
            Assert.Equal(24, first.FirstPassword!.Length);
            ca = first.Authorities.GridCa.Thumbprint;
        }
        await using var second = await OpenAsync(database);
        Assert.Null(second.FirstPassword);
        Assert.Equal(ca, second.Authorities.GridCa.Thumbprint);
    }

    [Fact]
    public async Task A_grid_of_an_older_version_gets_a_wireguard_key_and_silos_that_start_at_once_agree_on_it()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        await using (await OpenAsync(database))
        {
        }

        await using (var connection = await database.DataSource.OpenConnectionAsync(Cancel))
            await connection.ExecuteAsync("UPDATE grid SET wireguard_key = NULL");
        var silos = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => OpenAsync(database)));
        var key = Assert.Single(silos.Select(s => Convert.ToBase64String(s.Authorities.WireGuardKey.Span)).Distinct());
        Assert.Equal(44, key.Length);
        Assert.Equal(Relay.Protocol.WireGuard.WireGuardPrivateKey.PublicKey(Convert.FromBase64String(key)), silos[0].Authorities.WireGuardPublicKey);
        foreach (var silo in silos)
            await silo.DisposeAsync();
        await using var next = await OpenAsync(database);
        Assert.Equal(key, Convert.ToBase64String(next.Authorities.WireGuardKey.Span));

        // What an older version left on disk has none.
        var rows = next.AuthorityRows;
        var old = new Relay.Silo.Authorities.AuthorityRows { Grid = new() { GridId = rows.Grid.GridId, CaCertificate = rows.Grid.CaCertificate, CaKey = rows.Grid.CaKey, SigningKey = rows.Grid.SigningKey, GatewayHostKey = rows.Grid.GatewayHostKey }, Organizations = rows.Organizations };
        using var without = Relay.Silo.Authorities.GridAuthorities.Open(old, next.Vault, TimeProvider.System);
        Assert.Equal((true, null), (without.WireGuardKey.IsEmpty, without.WireGuardPublicKey));
    }

    [Fact]
    public async Task The_password_file_is_written_for_its_owner_only()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        var path = Path.Combine(_directory, "first-password");
        await using var silo = await OpenAsync(database, bootstrapFile: path);
        Assert.Equal(silo.FirstPassword, (await File.ReadAllTextAsync(path, Cancel)).Trim());
        Assert.Equal("600", Convert.ToString((int)File.GetUnixFileMode(path), 8));
    }

    [Fact]
    public async Task When_the_password_cannot_be_written_nothing_is_set_up()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        await Assert.ThrowsAnyAsync<IOException>(() => OpenAsync(database, bootstrapFile: Path.Combine(_directory, "no such folder", "password")));
        await using var silo = await OpenAsync(database);
        Assert.NotNull(silo.FirstPassword);
    }

    [Fact]
    public async Task Another_master_key_stops_the_start_with_the_reason()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        await using (await OpenAsync(database))
        {
        }
        var missing = await Assert.ThrowsAsync<StorageException>(() => OpenAsync(database, keyFile: "other.key"));
        Assert.Contains("RELAY_MASTER_KEY_FILE", missing.Message, StringComparison.Ordinal);
        await PrivateFiles.WriteAsync(Path.Combine(_directory, "other.key"), System.Text.Encoding.ASCII.GetBytes(Convert.ToBase64String(new byte[32])), Cancel);
        var other = await Assert.ThrowsAsync<StorageException>(() => OpenAsync(database, keyFile: "other.key"));
        Assert.Contains("is not the one this database was set up with", other.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_embedded_gateways_token_is_kept_while_it_is_good()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        await using var silo = await OpenAsync(database);
        var path = Path.Combine(_directory, "gateway.token");
        await silo.WriteGatewayTokenAsync(path, "127.0.0.1:7443", Cancel);
        var first = await File.ReadAllTextAsync(path, Cancel);
        Assert.Equal("600", Convert.ToString((int)File.GetUnixFileMode(path), 8));
        await silo.WriteGatewayTokenAsync(path, "127.0.0.1:7443", Cancel);
        Assert.Equal(first, await File.ReadAllTextAsync(path, Cancel));
        // Another address, or a revoked one: a new token.
        await silo.WriteGatewayTokenAsync(path, "127.0.0.1:9999", Cancel);
        var second = await File.ReadAllTextAsync(path, Cancel);
        Assert.NotEqual(first, second);
        await using var connection = await database.DataSource.OpenConnectionAsync(Cancel);
        await connection.ExecuteAsync("UPDATE gateway_token SET revoked_at = now()");
        await silo.WriteGatewayTokenAsync(path, "127.0.0.1:9999", Cancel);
        Assert.NotEqual(second, await File.ReadAllTextAsync(path, Cancel));
    }

    [Fact]
    public async Task Nothing_secret_of_the_grid_is_in_the_database_in_clear()
    {
        await using var database = await PrivatePostgres.CreateAsync();
        await using var silo = await OpenAsync(database);
        var dump = await database.DumpAsync(Cancel);
        Assert.Contains("Relay ssh CA for default", dump, StringComparison.Ordinal);
        Assert.DoesNotContain("PRIVATE KEY", dump, StringComparison.Ordinal);
        // bytea is dumped as hex.
        Assert.DoesNotContain(Convert.ToHexStringLower("PRIVATE KEY"u8), dump, StringComparison.Ordinal);
        Assert.DoesNotContain(silo.FirstPassword!, dump, StringComparison.Ordinal);
        // The fixed beginning of a PKCS#8 P-256 key.
        Assert.DoesNotContain("308187020100301306072a8648ce3d0201", dump, StringComparison.Ordinal);
    }

    private Task<ControlPlane> OpenAsync(PrivatePostgres database, string? bootstrapFile = null, string keyFile = "master.key") =>
        ControlPlane.OpenAsync(
            new ControlPlaneOptions { Database = database.ConnectionString, StateDirectory = _directory, MasterKeyFile = Path.Combine(_directory, keyFile), BootstrapFile = bootstrapFile },
            NullLoggerFactory.Instance, TimeProvider.System, Cancel);
}
