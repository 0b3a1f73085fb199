using Relay.Silo.Authorities;
using Relay.Silo.Identity;
using Relay.Silo.Storage;

namespace Relay.Silo;

/// <summary>Composition of the control plane.</summary>
internal static class ControlPlaneServices
{
    /// <summary>Registers what <see cref="ControlPlane.OpenAsync"/> made; the control plane stays the caller's to dispose.</summary>
    public static IServiceCollection AddControlPlane(this IServiceCollection services, ControlPlane control)
    {
        services.AddSingleton(control);
        services.AddSingleton(control.Database);
        services.AddSingleton(control.Database.DataSource);
        services.AddSingleton(control.Database.Probe);
        services.AddSingleton(control.Start);
        services.AddSingleton(s =>
        {
            var health = new StoreHealth(s.GetRequiredService<IStoreProbe>(), reachable: !control.Start.IsActive, s.GetRequiredService<TimeProvider>(), s.GetRequiredService<ILogger<StoreHealth>>());
            // Connections into an outage are not worth keeping: some would only be found dead when they are used again.
            health.Changed += () =>
            {
                if (!health.Reachable)
                    control.Database.DataSource.Clear();
            };
            return health;
        });
        services.AddHostedService(s => s.GetRequiredService<StoreHealth>());
        services.AddSingleton(control.Vault);
        services.AddSingleton<IAuthorities>(control.Authorities);
        services.AddSingleton(control.Passwords);
        services.AddSingleton<TokenStore>();
        services.AddSingleton<IConnectorTokens>(s => s.GetRequiredService<TokenStore>());
        services.AddSingleton<SiloDirectory>();
        services.AddSingleton<LoginThrottle>();
        services.AddSingleton<LoginSessions>();
        return services;
    }
}
