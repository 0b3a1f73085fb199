using Microsoft.Extensions.DependencyInjection.Extensions;
using Relay.Grains.Connectors;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Connectors;

/// <summary>Registers the connectors' side of a silo.</summary>
internal static class ConnectorsServiceCollectionExtensions
{
    /// <summary>
    /// Needs in the container: the control plane, fencing, <see cref="SiloIdentity"/>, <see cref="SiloEndpoints"/>, the grid's link and certificate,
    /// the authorities and the token table. Listens as a hosted service; register it after the grid's, so that at the stop
    /// connectors are sent elsewhere before the grid's streams are cut.
    /// </summary>
    public static IServiceCollection AddConnectors(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<IConnectorAdmission, TokenAdmission>();
        services.AddSingleton<ConnectorLeaseStore>();
        services.AddSingleton<ConnectorRecords>();
        services.AddSingleton<ConnectorTunnels>();
        services.AddSingleton<ServingRight>();
        services.AddSingleton(_ => new LeaseWatch(ConnectorLeaseStore.HardTtl));
        services.AddSingleton<LeaseMetrics>();
        services.AddSingleton<ILeaseRenewals, LeaseRenewals>();
        services.TryAddSingleton<IConnectorDirectory, LeaseDirectory>();
        services.TryAddSingleton<IConnectorLeases, GrainLeases>();
        services.AddSingleton<HolderProbe>();
        services.AddSingleton<IHolderProbe>(s => s.GetRequiredService<HolderProbe>());
        services.AddSingleton<IGridRoutes, ConnectorGridRoutes>();
        services.AddSingleton<ConnectorAttacher>();
        services.AddSingleton<IStreamRouter, StreamRouter>();
        services.AddSingleton<PathHealth>();
        services.AddSingleton<SocketLoads>();
        services.AddHostedService(s => s.GetRequiredService<SocketLoads>());
        services.AddSingleton<FailingTargetStore>();
        services.AddHostedService<TargetChecks>();
        services.AddSingleton<TokenWatch>();
        services.AddSingleton<ISnapshotObserver>(s => s.GetRequiredService<TokenWatch>());
        services.AddHostedService(s => s.GetRequiredService<TokenWatch>());
        services.AddSingleton<ISiloAnnouncements>(s => s.GetRequiredService<SiloAnnouncer>());
        services.AddSingleton<TunnelControl>();
        services.AddSingleton<TransitStreams>();
        services.AddSingleton<TunnelKeeper>();
        services.AddHostedService(s => s.GetRequiredService<TunnelKeeper>());
        services.TryAddSingleton(s => new ConnectorListenerOptions
        {
            Socket = s.GetRequiredService<SiloEndpoints>().ConnectorSocket,
            Certificate = () => s.GetRequiredService<GridCertificate>().Context,
        });
        services.AddSingleton<ConnectorListener>();
        services.AddHostedService(s => s.GetRequiredService<ConnectorListener>());
        return services;
    }
}
