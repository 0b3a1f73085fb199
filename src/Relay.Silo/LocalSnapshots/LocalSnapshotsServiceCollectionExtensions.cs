using Relay.GrainHost.Membership;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;
using Relay.Silo.Secrets;

namespace Relay.Silo.LocalSnapshots;

/// <summary>The last snapshot on disk, and what peers that still run know better.</summary>
internal static class LocalSnapshotsServiceCollectionExtensions
{
    public static IServiceCollection AddLocalSnapshots(this IServiceCollection services, SiloOptions options)
    {
        services.AddSingleton(s => new LocalSnapshotKeeper(
            StartFromDisk.IsPossible(options) ? new LocalSnapshotFolder(options.SnapshotDirectory, s.GetRequiredService<SecretVault>()) : null,
            s.GetRequiredService<ControlPlane>().AuthorityRows,
            s.GetRequiredService<IMembership>(),
            s.GetRequiredService<SiloIdentity>().Address,
            s.GetRequiredService<ReadOnlyStart>(),
            s.GetRequiredService<TimeProvider>(),
            s.GetRequiredService<ILogger<LocalSnapshotKeeper>>()));
        services.AddHostedService(s => s.GetRequiredService<LocalSnapshotKeeper>());
        services.AddSingleton<PeerAnswers>();
        services.AddSingleton<IPeerAnswers>(s => s.GetRequiredService<PeerAnswers>());
        services.AddSingleton<IGridRoutes, PeerAnswerRoutes>();
        return services;
    }
}
