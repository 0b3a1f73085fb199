using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Dapper;
using Microsoft.Extensions.DependencyInjection;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tunnel;
using Relay.Silo.Authorities;
using Relay.Silo.Connectors;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Secrets;
using Relay.Silo.Sessions;
using Relay.Silo.Storage;
using Relay.TestKit;

namespace Relay.Tests.Silo.Grid;

/// <summary>A whole silo in this process, on a real PostgreSQL with a real grid port, and the means to write what administrators write.</summary>
public sealed class TestSilo : IAsyncDisposable
{
    private readonly string _folder;
    private readonly PrivatePostgres? _ownDatabase;
    private readonly ConcurrentBag<IDisposable> _peers = [];
    private bool _ownsFolder;
    private int _names;

    private TestSilo(SiloHost host, PrivatePostgres database, bool ownsDatabase, string folder, Guid organizationId, Guid administratorId)
    {
        Host = host;
        Database = database;
        _ownDatabase = ownsDatabase ? database : null;
        _folder = folder;
        OrganizationId = organizationId;
        AdministratorId = administratorId;
    }

    internal SiloHost Host { get; }

    public PrivatePostgres Database { get; }

    public Guid OrganizationId { get; }

    public Guid AdministratorId { get; }

    internal IAuthorities Authorities => Get<IAuthorities>();

    internal T Get<T>()
        where T : notnull => Host.Services.GetRequiredService<T>();

    /// <param name="with">Another silo of the same grid: same database, same keys.</param>
    /// <param name="store">How the silo itself reaches the database, when that is not how the test does.</param>
    /// <param name="spoolLimit">Bytes.</param>
    /// <param name="state">State folder that the test has made and removes.</param>
    public static async Task<TestSilo> StartAsync(TestSilo? with = null, string name = "silo-1", PrivatePostgres? postgres = null, string? store = null, long? spoolLimit = null, string? state = null)
    {
        var database = with?.Database ?? postgres ?? await PrivatePostgres.CreateAsync();
        var folder = with?._folder ?? state ?? Directory.CreateTempSubdirectory("relay-silo-").FullName;
        var options = new SiloOptions
        {
            Database = store ?? database.ConnectionString,
            SpoolLimitBytes = spoolLimit ?? 1024 * 1024 * 1024,
            StateDirectory = folder,
            MasterKeyFile = Path.Combine(folder, "master.key"),
            Name = name,
            ApiListen = new IPEndPoint(IPAddress.Loopback, 0),
            GridListen = new IPEndPoint(IPAddress.Loopback, 0),
            ConnectorListen = new IPEndPoint(IPAddress.Loopback, 0),
            DrainTime = TimeSpan.Zero,
            LogLevel = Microsoft.Extensions.Logging.LogLevel.None,
        };
        var host = await SiloHost.StartAsync(options, TimeProvider.System, WithPatience, TestContext.Current.CancellationToken);
        await using var connection = await database.DataSource.OpenConnectionAsync();
        var (organization, administrator) = await connection.QuerySingleAsync<(Guid, Guid)>("SELECT o.organization_id, u.user_id FROM organization o JOIN app_user u USING (organization_id) WHERE u.email = 'admin@relay.local'");
        return new TestSilo(host, database, with is null, folder, organization, administrator) { _ownsFolder = state is null };
    }

    // Gateways of these tests seldom have a control stream, and a machine that is busy must not make peers look as if they were away.
    private static void WithPatience(IServiceCollection services) => services
        .AddSingleton<IStreamRouter, LoopbackRouter>()
        .AddSingleton(s => new GatewaySubscriptions(s.GetRequiredService<TimeProvider>()) { Patience = TimeSpan.FromMinutes(30) })
        .AddSingleton(s => new PeerAnswers(s.GetRequiredService<IGridMembers>(), s.GetRequiredService<SiloLinks>(), s.GetRequiredService<SiloIdentity>(), s.GetRequiredService<TimeProvider>())
        {
            Deadline = TimeSpan.FromMinutes(1),
        });

    /// <summary>A gateway with a certificate of this grid.</summary>
    internal TestPeer Gateway(string name = "gw-1") => Peer(new GridPeer(GridRole.Gateway, name));

    internal TestPeer Peer(GridPeer peer)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var leaf = Authorities.IssueGridCertificate(peer, new PublicKey(key));
        return Track(new TestPeer(Host.GridAddress, Authorities.GridCa, TestPeer.WithKey(leaf, key)));
    }

    internal TestPeer Stranger() => Track(new TestPeer(Host.GridAddress, Authorities.GridCa, null));

    internal TestPeer Track(TestPeer peer)
    {
        _peers.Add(peer);
        return peer;
    }

    /// <summary>One write as the API does it: the organization's version grows and the silos are told in the same transaction.</summary>
    public async Task WriteAsync(string sql, object? parameters = null, bool notify = true)
    {
        await using var connection = await Database.DataSource.OpenConnectionAsync();
        await using var transaction = await connection.BeginBoundedAsync(BoundedTransaction.LongPatience, CancellationToken.None);
        await connection.ExecuteAsync(sql, parameters, transaction);
        await connection.ExecuteAsync("UPDATE organization SET version = version + 1 WHERE organization_id = @OrganizationId", new { OrganizationId }, transaction);
        if (notify)
            await connection.ExecuteAsync("SELECT pg_notify('relay_org', @id)", new { id = OrganizationId.ToString() }, transaction);
        await transaction.CommitAsync();
    }

    public async Task<T> QueryAsync<T>(string sql, object? parameters = null)
    {
        await using var connection = await Database.DataSource.OpenConnectionAsync();
        return await connection.QuerySingleAsync<T>(sql, parameters);
    }

    /// <summary>Writes, and waits until this silo decides by it.</summary>
    public async Task ApplyAsync(string sql, object? parameters = null)
    {
        await WriteAsync(sql, parameters);
        await SettledAsync();
    }

    public async Task SettledAsync()
    {
        var version = await QueryAsync<long>("SELECT version FROM organization WHERE organization_id = @OrganizationId", new { OrganizationId });
        var cell = Get<Relay.Silo.Snapshots.SnapshotCell>();
        await Eventually.TrueAsync(() => cell.Find(OrganizationId)?.Version >= version, $"snapshot at version {version}");
    }

    public async Task<Guid> AddUserAsync(string role = "member")
    {
        var id = Guid.NewGuid();
        await ApplyAsync(
            "INSERT INTO app_user (user_id, organization_id, email, role) VALUES (@id, @OrganizationId, @email, @role)",
            new { id, OrganizationId, email = $"u{Interlocked.Increment(ref _names)}-{id:N}@example.com", role });
        return id;
    }

    /// <summary>A user's key with a certificate by the organization's user CA.</summary>
    internal SshCertificate Certificate(Guid userId, TimeSpan? lifetime = null, string? source = null)
    {
        using var key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
        return Authorities.SignUserCertificate(OrganizationId, userId, "someone@example.com", key.PublicKey, lifetime ?? TimeSpan.FromHours(1), source);
    }

    /// <summary>The organization's user CA itself, for certificates that Relay would never make.</summary>
    internal async Task<SshPrivateKey> UserCaAsync()
    {
        var value = await QueryAsync<byte[]>("SELECT user_ca FROM organization WHERE organization_id = @OrganizationId", new { OrganizationId });
        var pem = Get<SecretVault>().Open(SecretPlace.Organization("user_ca", OrganizationId), value);
        return SshPrivateKey.TryImport(System.Text.Encoding.ASCII.GetString(pem), out var key, out var error) ? key : throw new InvalidOperationException(error);
    }

    /// <summary>An SSH socket; by default one that defines its user, recorded.</summary>
    internal async Task<(Guid Id, string Name)> AddSocketAsync(
        string host = "127.0.0.1", int port = 22, string? username = "ubuntu", string authentication = "relay_certificate", SocketSecrets? secrets = null)
    {
        var id = Guid.NewGuid();
        var name = $"s-{id:N}"[..20];
        var upstream = new System.Text.Json.Nodes.JsonObject
        {
            ["service_type"] = "ssh",
            ["ssh_service_configuration"] = new System.Text.Json.Nodes.JsonObject
            {
                ["ssh_service_type"] = "standard",
                ["hostname"] = host,
                ["port"] = port,
                ["ssh_authentication_type"] = authentication,
                ["username_provider"] = username is null ? "prompt_client" : "defined",
                ["username"] = username ?? "",
            },
        };
        var sealedSecrets = secrets is null ? null : Get<SecretVault>().SealSocket(id, secrets);
        await ApplyAsync(
            """
            INSERT INTO socket (socket_id, organization_id, name, socket_type, upstream, upstream_secrets) VALUES (@id, @OrganizationId, @name, 'ssh', @upstream::jsonb, @sealedSecrets);
            INSERT INTO connector (connector_id, organization_id, name) VALUES (@id, @OrganizationId, 'beside-' || @name);
            INSERT INTO socket_connector (socket_id, connector_id) VALUES (@id, @id)
            """,
            new { id, OrganizationId, name, upstream = upstream.ToJsonString(), sealedSecrets });
        return (id, name);
    }

    /// <summary>A policy attached to one socket that admits one user to what <paramref name="ssh"/> says.</summary>
    public async Task<Guid> AllowAsync(Guid userId, Guid socketId, string ssh = """{"shell":{},"exec":{}}""")
    {
        var id = Guid.NewGuid();
        var email = await QueryAsync<string>("SELECT email FROM app_user WHERE user_id = @userId", new { userId });
        var data = "{\"permissions\":{\"ssh\":" + ssh + "},\"condition\":{\"who\":{\"email\":[\"" + email + "\"]}}}";
        await ApplyAsync(
            """
            INSERT INTO policy (policy_id, organization_id, name, policy_data) VALUES (@id, @OrganizationId, @name, @data::jsonb);
            INSERT INTO policy_socket (policy_id, socket_id) VALUES (@id, @socketId)
            """,
            new { id, OrganizationId, name = $"p-{id:N}", data, socketId });
        return id;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var peer in _peers)
            peer.Dispose();
        await Host.DisposeAsync();
        if (_ownDatabase is not null)
        {
            await _ownDatabase.DisposeAsync();
            if (_ownsFolder)
                Directory.Delete(_folder, recursive: true);
        }
    }

    /// <summary>Dials targets itself, as if a connector stood beside them.</summary>
    private sealed class LoopbackRouter : IStreamRouter
    {
        public async ValueTask<RoutedStream> OpenAsync(Relay.Policy.AccessGrant grant, Guid sessionId, ConnectorTarget target, CancellationToken cancellationToken)
        {
            if (grant.SocketId != target.SocketId)
                throw new ArgumentException("The grant is for another socket.", nameof(grant));
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            try
            {
                await socket.ConnectAsync(target.Targets[0].Host!, target.Targets[0].Port, cancellationToken);
            }
            catch (SocketException e)
            {
                socket.Dispose();
                throw new StreamOpenException(StreamOpenError.Refused, "nothing listens there", e);
            }

            var connector = target.Connectors[0];
            return new RoutedStream(new SocketDuplexStream(socket), connector.Id, connector.Name, Guid.Empty, target.Targets[0], "here", 1);
        }
    }
}

/// <summary>One silo for all tests of a class.</summary>
public sealed class SiloFixture : IAsyncLifetime
{
    public TestSilo Silo { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Silo = await TestSilo.StartAsync();

    public ValueTask DisposeAsync() => Silo.DisposeAsync();
}
