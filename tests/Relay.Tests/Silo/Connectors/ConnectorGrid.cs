using System.Net;
using Dapper;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Silo.Authorities;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Identity;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;
using Relay.TestKit;
using Relay.Tests.Grains;

namespace Relay.Tests.Silo.Connectors;

/// <summary>A grid's store and authorities, shared by the tests of one class; silos and connectors are made per test.</summary>
public sealed class ConnectorGrid : IAsyncLifetime
{
    private GridAuthorities? _authorities;

    public PrivatePostgres Postgres { get; } = new();

    public Guid OrganizationId { get; private set; }

    /// <summary>The grains of all silos.</summary>
    internal GrainSetting Grains { get; private set; } = null!;

    internal GridAuthorities Authorities => _authorities!;

    internal TokenStore Tokens => new(Postgres.DataSource, Authorities);

    public async ValueTask InitializeAsync()
    {
        Grains = await GrainSetting.CreateAsync();
        var vault = new SecretVault(MasterKey.FromBytes(new byte[MasterKey.KeyBytes]));
        await GridBootstrap.RunAsync(Postgres.DataSource, vault, new Passwords(), null, TimeProvider.System, CancellationToken.None);
        _authorities = await GridAuthorities.LoadAsync(Postgres.DataSource, vault, TimeProvider.System, CancellationToken.None);
        await using var connection = await Postgres.DataSource.OpenConnectionAsync();
        OrganizationId = await connection.QuerySingleAsync<Guid>("SELECT organization_id FROM organization");
    }

    public async ValueTask DisposeAsync()
    {
        _authorities?.Dispose();
        await Grains.DisposeAsync();
        await Postgres.DisposeAsync();
    }

    /// <summary>A connector with a token that names these silos.</summary>
    internal async Task<TestConnector> CreateConnectorAsync(params TestSilo[] silos)
    {
        var connector = Guid.NewGuid();
        var token = Guid.NewGuid();
        var name = $"c-{connector:N}";
        await ExecuteAsync("INSERT INTO connector (connector_id, organization_id, name) VALUES (@connector, @OrganizationId, @name)", new { connector, OrganizationId, name });
        await ExecuteAsync("INSERT INTO connector_token (token_id, connector_id, created_by) VALUES (@token, @connector, 'test')", new { token, connector });
        await BumpAsync();
        var text = Authorities.MintConnectorToken(OrganizationId, connector, token, [.. silos.Select(s => s.ConnectorAddress)], null);
        return new TestConnector(connector, name, token, text);
    }

    /// <summary>Ends a write as the API does: silos see a version that has it.</summary>
    public Task BumpAsync() => ExecuteAsync(
        "UPDATE organization SET version = version + 1 WHERE organization_id = @OrganizationId; SELECT pg_notify('relay_org', @OrganizationId::text)", new { OrganizationId });

    public async Task ExecuteAsync(string sql, object parameters)
    {
        await using var connection = await Postgres.DataSource.OpenConnectionAsync();
        await connection.ExecuteAsync(sql, parameters);
    }

    public async Task<T> QueryAsync<T>(string sql, object parameters)
    {
        await using var connection = await Postgres.DataSource.OpenConnectionAsync();
        return await connection.QuerySingleAsync<T>(sql, parameters);
    }

    internal GridCertificate CertificateFor(string name) => new(Authorities, Options(name), TimeProvider.System);

    private static SiloOptions Options(string name) => new()
    {
        StateDirectory = "/nonexistent",
        MasterKeyFile = "/nonexistent/master.key",
        Name = name,
        ApiListen = new IPEndPoint(IPAddress.Loopback, 0),
        GridListen = new IPEndPoint(IPAddress.Loopback, 0),
        ConnectorListen = new IPEndPoint(IPAddress.Loopback, 0),
    };
}

/// <summary>A row of connector and of connector_token.</summary>
internal sealed record TestConnector(Guid Id, string Name, Guid TokenId, string Token);
