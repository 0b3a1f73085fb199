using Relay.Silo.Grid;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Devices;

/// <summary>WireGuard devices towards gateways.</summary>
internal static class DevicesServiceCollectionExtensions
{
    /// <summary>Before the grains: a silo joins only where all agree.</summary>
    public static IServiceCollection AddNetworkAgreement(this IServiceCollection services)
    {
        services.AddSingleton<NetworkAgreement>();
        services.AddHostedService(s => s.GetRequiredService<NetworkAgreement>());
        return services;
    }

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
