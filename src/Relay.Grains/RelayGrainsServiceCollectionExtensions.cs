using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Relay.Grains.Connectors;

namespace Relay.Grains;

/// <summary>Registers what the grains need besides their host.</summary>
public static class RelayGrainsServiceCollectionExtensions
{
    /// <summary>Register an <see cref="IConnectorLeases"/> before this where there is a lease table.</summary>
    public static IServiceCollection AddRelayGrains(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<IConnectorLeases, NoConnectorLeases>();
        return services;
    }
}
