using Relay.Silo.Grid;

namespace Relay.Silo.Snapshots;

/// <summary>What decisions are made by, kept at the database's version.</summary>
internal static class SnapshotsServiceCollectionExtensions
{
    public static IServiceCollection AddSnapshots(this IServiceCollection services)
    {
        services.AddSingleton<SnapshotCell>();
        services.AddSingleton<SnapshotLoader>();
        services.AddSingleton<DatabaseSignals>();
        services.AddSingleton<GridConfirmation>();
        services.AddSingleton<RevocationMetrics>();
        services.AddSingleton<IStoreThroughPeer, StoreThroughPeer>();
        services.AddSingleton<IGridRoutes, PeerStoreRoutes>();
        services.AddSingleton<SnapshotAckStore>();
        services.AddSingleton<ISnapshotAckStore, OwnSnapshotAcks>();
        services.AddSingleton<SnapshotAcks>();
        services.AddHostedService(s => s.GetRequiredService<DatabaseSignals>());
        services.AddHostedService(s => s.GetRequiredService<SnapshotAcks>());
        services.AddHostedService<SnapshotFeed>();
        return services;
    }
}
