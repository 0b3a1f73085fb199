using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Orleans;
using Relay.GrainHost.Membership;

namespace Relay.GrainHost.Hosting;

/// <summary>Registers the built-in grain host.</summary>
public static class GrainHostServiceCollectionExtensions
{
    /// <summary>
    /// Adds <see cref="GrainSilo"/>, <see cref="IGrainFactory"/>, <see cref="IMembership"/> and <see cref="ILocalSilo"/>, and
    /// runs them with the process. The caller registers an <see cref="IMembershipTable"/> and an <see cref="Links.ISiloTransport"/>.
    /// <see cref="GrainHostOptions"/> is a service too: its <see cref="GrainHostOptions.Address"/> may be set as late as when the listener is up.
    /// </summary>
    public static IServiceCollection AddGrainHost(this IServiceCollection services, Action<GrainHostOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(configure);
        services.AddSingleton(_ =>
        {
            var options = new GrainHostOptions();
            configure(options);
            return options;
        });
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<GrainSilo>();
        services.AddSingleton<ILocalSilo>(s => s.GetRequiredService<GrainSilo>());
        services.AddSingleton(s => s.GetRequiredService<GrainSilo>().GrainFactory);
        services.AddSingleton(s => s.GetRequiredService<GrainSilo>().Membership);
        services.AddHostedService<GrainHostService>();
        return services;
    }
}
