using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Policy;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;
using Relay.Silo.Connectors;
using Relay.Silo.Devices;
using Relay.Silo.Fencing;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;
using Relay.Tests.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Tests.Silo.Connectors;

/// <summary>The connectors' side of a silo with real sockets, TLS and store; its grid port serves only the connectors' routes.</summary>
internal sealed class TestSilo : IAsyncDisposable
{
    // A path, a target, a grain or a silo that works is waited for, however busy the machine is.
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(1);
    private readonly GridCertificate _certificate;
    private readonly SiloLinks _links;
    private readonly WebApplication _grid;
    private readonly TunnelKeeper _keeper;
    private readonly ConnectorListener _listener;
    private readonly StreamRouter _router;
    private IReadOnlyList<Microsoft.Extensions.Hosting.IHostedService> _background = [];
    private int _disposed;

    private TestSilo(
        GridCertificate certificate, SiloLinks links, WebApplication grid, SiloIdentity identity, ConnectorTunnels tunnels,
        ConnectorLeaseStore leases, TunnelKeeper keeper, ConnectorListener listener, StreamRouter router, string connectorAddress)
    {
        _certificate = certificate;
        _links = links;
        _grid = grid;
        _keeper = keeper;
        _listener = listener;
        _router = router;
        Identity = identity;
        Tunnels = tunnels;
        Leases = leases;
        ConnectorAddress = connectorAddress;
    }

    public SiloIdentity Identity { get; }

    public ConnectorTunnels Tunnels { get; }

    public ConnectorLeaseStore Leases { get; }

    /// <summary>What agents are told of silos.</summary>
    public required ScriptedAnnouncements Announcements { get; init; }

    /// <summary>Where its connectors are sent away and waited for.</summary>
    public ConnectorListener Listener => _listener;

    /// <summary>Where connectors dial.</summary>
    public string ConnectorAddress { get; }

    public ISiloHttp Links => _links;

    public TunnelKeeper Keeper => _keeper;

    public required SiloFence Fence { get; init; }

    public required ServingRight Right { get; init; }

    public required LeaseWatch Watch { get; init; }

    public required StoreHealth Store { get; init; }

    public required NoProbe StoreProbe { get; init; }

    /// <summary>The way to the store through another silo, as the test has it.</summary>
    public required ScriptedPeer Peers { get; init; }

    public required GridHealth Health { get; init; }

    public required HolderProbe Probe { get; init; }

    public StreamRouter Router => _router;

    public PathHealth Paths { get; private init; } = null!;

    public TargetChecks Checks { get; private init; } = null!;

    /// <param name="agentsAnswer">What stands still for a while is the machine: agents that are asked whether they live have a minute. False: those that do not answer are soon dead.</param>
    /// <param name="rightTime">Of the right to serve, and of what was promised by it; null: the system's.</param>
    public static async Task<TestSilo> StartAsync(ConnectorGrid grid, string name, bool keep = true, bool justStarted = false, bool agentsAnswer = false, TimeProvider? rightTime = null)
    {
        var time = TimeProvider.System;
        var certificate = grid.CertificateFor(name);
        var links = new SiloLinks(certificate, time);
        var tunnels = new ConnectorTunnels();

        // The grid's port is known only after it has started, and the routes need what needs the port.
        var gridSocket = Bind();
        var identity = new SiloIdentity(name, gridSocket.LocalEndPoint!.ToString()!, Guid.NewGuid());
        var leases = new ConnectorLeaseStore(grid.Postgres.DataSource, identity);
        var records = new ConnectorRecords(grid.Postgres.DataSource, identity);
        var storeProbe = new NoProbe();
        var store = new StoreHealth(storeProbe, reachable: true, time, NullLogger<StoreHealth>.Instance);
        var directory = new LeaseDirectory(leases, store, new NoPeerAnswers());
        // A silo alone is its own majority: it may always serve, until a test says otherwise.
        var fence = new SiloFence(FenceTimes.Default, new Voter(identity.Address, identity.Incarnation));
        fence.Adopt([fence.Self]);
        var right = new ServingRight(fence, new BootClock(rightTime ?? time));
        if (!justStarted)
            right = new ServingRight(fence, new BootClock(rightTime ?? time)) { EarlierStartsAreOver = TimeSpan.Zero };
        // The other silo answers here; a machine that is busy must not make it look as if it did not.
        var probe = new HolderProbe(tunnels, links, identity, right, time) { Deadline = s_patience, AgentDeadline = agentsAnswer ? s_patience : TunnelWire.ProbeDeadline };
        var app = await StartGridAsync(gridSocket, certificate, new ConnectorGridRoutes(tunnels, probe, new TransitStreams(new NoMembers(), links, time, NullLogger<TransitStreams>.Instance)));

        var connectorSocket = Bind();
        var cell = new SnapshotCell();
        var signals = new DatabaseSignals(grid.Postgres.DataSource, time, NullLogger<DatabaseSignals>.Instance);
        var tokens = new TokenWatch(tunnels, cell, time, NullLogger<TokenWatch>.Instance);
        var acks = new SnapshotAcks(new OwnSnapshotAcks(new SnapshotAckStore(grid.Postgres.DataSource), new NoWayThroughPeers(), identity), new RevocationMetrics(), time, NullLogger<SnapshotAcks>.Instance);
        var start = new ReadOnlyStart(null, time.GetUtcNow());
        var kept = new LocalSnapshotKeeper(null, null!, null!, identity.Address, start, time, NullLogger<LocalSnapshotKeeper>.Instance);
        var feed = new SnapshotFeed(cell, new SnapshotLoader(grid.Postgres.DataSource, new NoWayThroughPeers(), DeviceNetwork.Default, NullLogger<SnapshotLoader>.Instance), signals, store, [tokens], acks, kept, start, new NoPeerAnswers(), new RevokedGateways(new GatewaySubscriptions(time)), time, NullLogger<SnapshotFeed>.Instance);
        Microsoft.Extensions.Hosting.IHostedService[] background = [signals, tokens, acks, feed];
        foreach (var service in background)
            await service.StartAsync(CancellationToken.None);
        var paths = new PathHealth(time);
        var checks = new TargetChecks(tunnels, cell, paths, new FailingTargetStore(grid.Postgres.DataSource), signals, time, NullLogger<TargetChecks>.Instance) { Deadline = s_patience };
        await checks.StartAsync(CancellationToken.None);
        background = [.. background, checks];
        var watch = new LeaseWatch(ConnectorLeaseStore.HardTtl);
        var peers = new ScriptedPeer();
        var health = new GridHealth();
        var keeper = new TunnelKeeper(tunnels, leases, records, directory, new LeaseRenewals(leases, store, peers, new LeaseMetrics(tunnels), time), right, watch, time, NullLogger<TunnelKeeper>.Instance);
        var attacher = new ConnectorAttacher(
            new TokenAdmission(grid.Tokens, grid.Authorities), leases, tunnels, probe, records, identity, right, fence, watch, health, store, time, NullLogger<ConnectorAttacher>.Instance);
        var address = connectorSocket.LocalEndPoint!.ToString()!;
        var announcements = new ScriptedAnnouncements();
        var listener = new ConnectorListener(
            new ConnectorListenerOptions { Socket = connectorSocket, Certificate = () => certificate.Context },
            attacher, tunnels, keeper, new TunnelControl(announcements, tunnels, time), time, NullLogger<ConnectorListener>.Instance);
        await listener.StartAsync(CancellationToken.None);
        if (keep)
            await keeper.StartAsync(CancellationToken.None);
        var loads = new SocketLoads(grid.Grains.Grains, identity, time, NullLogger<SocketLoads>.Instance) { Patience = s_patience };
        await loads.StartAsync(CancellationToken.None);
        background = [.. background, loads];
        var router = new StreamRouter(tunnels, paths, loads, directory, links, identity, time, NullLogger<StreamRouter>.Instance) { FirstPathsDeadline = s_patience };
        return new TestSilo(certificate, links, app, identity, tunnels, leases, keeper, listener, router, address)
        {
            _background = background, Fence = fence, Right = right, Watch = watch, Store = store, StoreProbe = storeProbe, Peers = peers, Health = health, Probe = probe, Paths = paths, Checks = checks, Announcements = announcements,
        };
    }

    /// <summary>Opens a stream through the router with a grant for a socket of these connectors.</summary>
    public async Task<RoutedStream> OpenAsync(StreamTarget target, params TestConnector[] connectors)
    {
        var socket = Guid.NewGuid();
        return await _router.OpenAsync(
            Grant(socket), Guid.NewGuid(), new ConnectorTarget(socket, [.. connectors.Select(c => new ConnectorReference(c.Id, c.Name))], target), TestContext.Current.CancellationToken);
    }

    public ValueTask<RoutedStream> OpenAsync(AccessGrant grant, ConnectorTarget target) =>
        _router.OpenAsync(grant, Guid.NewGuid(), target, TestContext.Current.CancellationToken);

    public static AccessGrant Grant(Guid socket) => new(
        Guid.NewGuid(),
        new AccessRequest(
            new Subject(Guid.NewGuid(), "a@b", new HashSet<string>(), null), new SocketFacts(socket, "s", "ssh", new Dictionary<string, string>(), null),
            IPAddress.Loopback, null, TimeProvider.System.GetUtcNow(), new AccessAction.Connect(null), Guid.NewGuid()),
        1, null);

    /// <summary>Waits until the connector's tunnel is here.</summary>
    public Task<ConnectorTunnel> AttachedAsync(TestConnector connector, long epoch = 0) =>
        Eventually.NotNullAsync(() => Tunnels.Find(connector.Id) is { } tunnel && tunnel.Epoch >= epoch ? tunnel : null, $"{connector.Name} attached to {Identity.Name}");

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _listener.StopAsync(CancellationToken.None);
        await _keeper.StopAsync(CancellationToken.None);
        await _listener.DisposeAsync();
        foreach (var service in _background.Reverse())
        {
            await service.StopAsync(CancellationToken.None);
            ((IDisposable)service).Dispose();
        }

        _keeper.Dispose();
        await _grid.StopAsync(new CancellationToken(canceled: true));
        await _grid.DisposeAsync();
        _links.Dispose();
        _certificate.Dispose();
    }

    private static Socket Bind()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return socket;
    }

    private static async Task<WebApplication> StartGridAsync(Socket socket, GridCertificate certificate, ConnectorGridRoutes routes)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRoutingCore();
        builder.WebHost.UseKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.MinResponseDataRate = null;
            kestrel.Limits.Http2.InitialStreamWindowSize = TunnelWire.StreamWindowBytes;
            kestrel.Limits.Http2.InitialConnectionWindowSize = TunnelWire.ConnectionWindowBytes;
            kestrel.Listen((IPEndPoint)socket.LocalEndPoint!, listen =>
            {
                listen.Protocols = HttpProtocols.Http2;
                listen.UseHttps(new TlsHandshakeCallbackOptions
                {
                    OnConnection = _ => ValueTask.FromResult(new SslServerAuthenticationOptions
                    {
                        ServerCertificateContext = certificate.Context,
                        EnabledSslProtocols = SslProtocols.Tls13,
                        ApplicationProtocols = [SslApplicationProtocol.Http2],
                        ClientCertificateRequired = true,
                        CertificateChainPolicy = certificate.ChainPolicy(),
                        RemoteCertificateValidationCallback = (_, leaf, _, _) => certificate.TryReadPeer(leaf as X509Certificate2, out var peer) && peer.Role == GridRole.Silo,
                    }),
                });
            });
        });
        builder.WebHost.UseSockets(sockets => sockets.CreateBoundListenSocket = _ => socket);
        var app = builder.Build();
        app.Use((context, next) =>
        {
            context.Features.Set(new GridPeerFeature(new GridPeer(GridRole.Silo, "peer"), DateTimeOffset.MinValue, DateTimeOffset.MaxValue));
            return next(context);
        });
        app.UseRouting();
        routes.Map(app);
        await app.StartAsync();
        return app;
    }
}

/// <summary>Renews through a peer as the test says: by default there is none.</summary>
internal sealed class ScriptedPeer : IPeerRenewals
{
    public Func<PeerRenewal, Task<PeerRenewalAnswer?>> Answer { get; set; } = _ => Task.FromResult<PeerRenewalAnswer?>(null);

    public Task<PeerRenewalAnswer?> RenewThroughPeerAsync(IReadOnlyList<PeerLease> leases, IReadOnlyList<Guid> tokens, CancellationToken cancellationToken) =>
        Answer(new PeerRenewal(Guid.Empty, leases, tokens));
}

/// <summary>A store that says nothing of itself until the test tells what the probe finds.</summary>
internal sealed class NoProbe : IStoreProbe
{
    public Exception? Failure { get; set; }

    public Task AskAsync(CancellationToken cancellationToken) => Failure is null ? Task.CompletedTask : Task.FromException(Failure);
}

/// <summary>Nobody is known: transit streams of these tests end without a farewell.</summary>
internal sealed class NoMembers : IGridMembers
{
    public IReadOnlyList<GridMember> Serving => [];

    public IReadOnlyList<GridMember> Dead => [];
}
