using Relay.Protocol.Tunnel;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;

namespace Relay.Silo.Fencing;

/// <summary>Whether this silo may serve, and what it knows of the others.</summary>
internal static class FencingServiceCollectionExtensions
{
    /// <summary>Needs the control plane, <see cref="SiloIdentity"/>, <see cref="IGridMembers"/> and the grid's links; to be started before anything that serves.</summary>
    public static IServiceCollection AddFencing(this IServiceCollection services)
    {
        services.AddSingleton(FenceTimes.Default);
        services.AddSingleton<BootClock>();
        services.AddSingleton(s => new SiloFence(s.GetRequiredService<FenceTimes>(), new Voter(s.GetRequiredService<SiloIdentity>().Address, s.GetRequiredService<SiloIdentity>().Incarnation)));
        services.AddSingleton<FenceStore>();
        services.AddSingleton<GridHealth>();
        services.AddSingleton<FenceKeeper>();
        services.AddSingleton<IPeerRenewals>(s => s.GetRequiredService<FenceKeeper>());
        services.AddHostedService(s => s.GetRequiredService<FenceKeeper>());
        services.AddSingleton<IGridRoutes, PeerRoutes>();
        return services;
    }
}
