namespace Relay.Silo.Snapshots;

/// <summary>What decisions are made by, kept at the database's version.</summary>
internal static class SnapshotsServiceCollectionExtensions
{
    public static IServiceCollection AddSnapshots(this IServiceCollection services)
    {
        services.AddSingleton<SnapshotCell>();
        services.AddSingleton<SnapshotLoader>();
        services.AddSingleton<DatabaseSignals>();
        services.AddHostedService(s => s.GetRequiredService<DatabaseSignals>());
        services.AddHostedService<SnapshotFeed>();
        return services;
    }
}
