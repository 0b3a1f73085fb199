using Relay.Silo.Connectors;

namespace Relay.Silo.Grid;

/// <summary>The grid's port and the links to other silos.</summary>
internal static class GridServiceCollectionExtensions
{
    public static IServiceCollection AddGrid(this IServiceCollection services)
    {
        services.AddSingleton<GridCertificate>();
        services.AddSingleton<GridDrain>();
        services.AddSingleton<StreamMetrics>();
        services.AddSingleton<SiloAnnouncer>();
        services.AddHostedService(s => s.GetRequiredService<SiloAnnouncer>());
        services.AddSingleton<SiloLinks>();
        services.AddSingleton<ISiloHttp>(s => s.GetRequiredService<SiloLinks>());
        services.AddSingleton<IGridRoutes, EnrollRoute>();
        services.AddSingleton<IGridRoutes, GatewayRoutes>();
        services.AddSingleton<IGridRoutes, SessionRoutes>();
        services.AddSingleton<IGridRoutes, FlowRoutes>();
        services.AddSingleton<IGridRoutes, StreamRoute>();
        services.AddSingleton<IGridRoutes, RecordingRoute>();
        services.AddSingleton<IGridRoutes, PathsLostRoute>();
        services.AddHostedService<GridServer>();
        return services;
    }
}
