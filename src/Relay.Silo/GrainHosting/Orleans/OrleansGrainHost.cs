using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Options;
using Npgsql;
using Orleans;
using Orleans.Configuration;
using Orleans.Connections.Security;
using Orleans.Hosting;
using Relay.GrainHost.Membership;
using Relay.Grains;
using Relay.Protocol.Grid;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Storage;
using SiloOptions = Relay.Silo.Hosting.SiloOptions;

namespace Relay.Silo.GrainHosting;

/// <summary>
/// Microsoft Orleans with Relay's grains: clustering and storage on the same PostgreSQL, mTLS between silos with the grid's
/// certificates, no gateway port. The figures are those that were measured; see the README.
/// </summary>
internal static class GrainHostBuilderExtensions
{
    private const string Npgsql = "Npgsql";

    /// <summary>Probe 1 s, three misses.</summary>
    private static readonly TimeSpan Probe = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestProbe = TimeSpan.FromSeconds(1.5);
    private static readonly TimeSpan TableRefresh = TimeSpan.FromSeconds(3);
    private const int MissedProbes = 3;

    public static void AddGrains(this WebApplicationBuilder builder, SiloOptions options, SiloEndpoints endpoints)
    {
        var self = new SiloIdentity(options.Name, endpoints.Grid, Guid.NewGuid());
        builder.Services.AddSingleton(self);
        builder.Services.AddRelayGrains();
        // In this order: Orleans reads its queries when it starts, and the members when it runs.
        builder.Services.AddHostedService<OrleansSchema>();
        builder.UseOrleans(silo =>
        {
            Listen(silo, options, endpoints);
            Authenticate(silo);
            Tune(silo);
            silo.Configure<ClusterOptions>(cluster => (cluster.ClusterId, cluster.ServiceId) = ("relay", "relay"));
            // The name is the one thing of ours that Orleans' membership carries: it says which row of silo_member this is.
            silo.Configure<global::Orleans.Configuration.SiloOptions>(names => names.SiloName = self.Incarnation.ToString("D"));
            silo.UseAdoNetClustering(clustering => clustering.Configure<RelayDatabase>((o, database) => (o.Invariant, o.ConnectionString) = (Npgsql, Connection(database))));
            silo.AddAdoNetGrainStorageAsDefault(storage => storage.Configure<RelayDatabase>((o, database) => (o.Invariant, o.ConnectionString) = (Npgsql, Connection(database))));
        });
        builder.Services.AddSingleton<OrleansMembers>();
        builder.Services.AddSingleton<IMembership>(s => s.GetRequiredService<OrleansMembers>());
        builder.Services.AddSingleton<IGridMembers, HostMembers>();
        builder.Services.AddSingleton<IGridLeaving>(s => s.GetRequiredService<OrleansMembers>());
        builder.Services.AddHostedService(s => s.GetRequiredService<OrleansMembers>());
    }

    private static string Connection(RelayDatabase database) =>
        new NpgsqlConnectionStringBuilder(database.ConnectionString) { SearchPath = "orleans" }.ConnectionString;

    private static void Listen(ISiloBuilder silo, SiloOptions options, SiloEndpoints endpoints)
    {
        var port = GrainHostSettings.Port(options);
        if (port == 0)
            port = FreePort(options.GridListen.Address);
        if (!GridAddress.TryParse(endpoints.Grid, out var host, out _))
            throw new InvalidOperationException($"'{endpoints.Grid}' is not an address");
        silo.Configure<EndpointOptions>(endpoint =>
        {
            endpoint.AdvertisedIPAddress = IPAddress.TryParse(host, out var address) ? address : Dns.GetHostAddresses(host)[0];
            endpoint.SiloPort = port;
            endpoint.SiloListeningEndpoint = new IPEndPoint(options.GridListen.Address, port);
            // SECURITY: whoever connects to Orleans' gateway may call any grain.
            endpoint.GatewayPort = 0;
        });
    }

    /// <summary>Both ends present the grid's leaf and accept only a silo of this grid.</summary>
    private static void Authenticate(ISiloBuilder silo) =>
        silo.Services.AddOptions<SiloConnectionOptions>().Configure<GridCertificate>((connections, certificate) =>
        {
            var tls = new TlsOptions
            {
                SslProtocols = System.Security.Authentication.SslProtocols.Tls13,
                LocalServerCertificateSelector = (_, _) => certificate.Leaf,
                LocalClientCertificateSelector = (_, _, _, _, _) => certificate.Leaf,
                RemoteCertificateMode = RemoteCertificateMode.RequireCertificate,
                RemoteCertificateValidation = (leaf, _, _) => certificate.TryReadPeer(leaf, out var peer) && peer.Role == GridRole.Silo,
                OnAuthenticateAsClient = (_, client) => client.TargetHost = "relay-grid",
            };
            connections.ConfigureSiloInboundConnection(inbound => inbound.UseServerTls(tls));
            connections.ConfigureSiloOutboundConnection(outbound => outbound.UseClientTls(tls));
        });

    private static void Tune(ISiloBuilder silo)
    {
        silo.Configure<ClusterMembershipOptions>(membership =>
        {
            membership.ProbeTimeout = Probe;
            membership.MinProbeTimeout = 0.75 * Probe;
            membership.MaxProbeTimeout = LongestProbe;
            membership.NumMissedProbesLimit = MissedProbes;
            membership.TableRefreshTimeout = TableRefresh;
            membership.IAmAliveTablePublishTimeout = TimeSpan.FromSeconds(10);
            membership.NumMissedTableIAmAliveLimit = 9;
        });
        silo.Configure<SiloMessagingOptions>(messaging =>
        {
            messaging.ResponseTimeout = TimeSpan.FromSeconds(5);
            messaging.CancelRequestOnTimeout = true;
        });
        silo.Configure<GrainDirectoryOptions>(directory =>
            directory.RangeLeaseDuration = (MissedProbes * LongestProbe) + TableRefresh + TimeSpan.FromSeconds(3));
#pragma warning disable ORLEANSEXP003 // The default directory ends healthy activations elsewhere whenever a silo leaves; this one does not.
        silo.AddDistributedGrainDirectory();
#pragma warning restore ORLEANSEXP003
    }

    private static int FreePort(IPAddress address)
    {
        using var probe = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        probe.Bind(new IPEndPoint(address, 0));
        return ((IPEndPoint)probe.LocalEndPoint!).Port;
    }
}
