using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Relay.Grains;

/// <summary>Registers what the grains need besides their host.</summary>
public static class RelayGrainsServiceCollectionExtensions
{
    /// <summary>The caller registers an <see cref="Connectors.IConnectorLeases"/>, before or after.</summary>
    public static IServiceCollection AddRelayGrains(this IServiceCollection services)
    {
        services.TryAddSingleton(TimeProvider.System);
        return services;
    }
}
