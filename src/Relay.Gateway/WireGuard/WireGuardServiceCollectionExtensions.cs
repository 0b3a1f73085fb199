using Microsoft.Extensions.DependencyInjection;
using Relay.Gateway.WireGuard.Decisions;

namespace Relay.Gateway.WireGuard;

internal static class WireGuardServiceCollectionExtensions
{
    /// <summary>WireGuard beside the rest of the gateway. Silos do not tell of devices yet, so it knows none.</summary>
    public static IServiceCollection AddWireGuard(this IServiceCollection services, WireGuardOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton<NobodyYet>();
        services.AddSingleton<IDevices>(s => s.GetRequiredService<NobodyYet>());
        services.AddSingleton<IFlows>(s => s.GetRequiredService<NobodyYet>());
        services.AddHostedService<WireGuardService>();
        return services;
    }
}
