using Relay.Silo.Grid;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Devices;

/// <summary>WireGuard devices towards gateways.</summary>
internal static class DevicesServiceCollectionExtensions
{
    public static IServiceCollection AddDevices(this IServiceCollection services)
    {
        services.AddSingleton<DeviceFeed>();
        services.AddSingleton<ISnapshotObserver>(s => s.GetRequiredService<DeviceFeed>());
        services.AddSingleton<DeviceStatuses>();
        services.AddHostedService(s => s.GetRequiredService<DeviceStatuses>());
        services.AddSingleton<IGridRoutes, DeviceRoutes>();
        return services;
    }
}
