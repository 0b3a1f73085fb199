using Relay.Silo.Hosting;
using Relay.Silo.Secrets;
using Relay.Silo.Spool;

namespace Relay.Silo.History;

/// <summary>History, and the spool it waits in while the store is away.</summary>
internal static class HistoryServiceCollectionExtensions
{
    public static IServiceCollection AddHistory(this IServiceCollection services, SiloOptions options)
    {
        var folder = options.SpoolDirectory;
        services.AddSingleton(s => Open(s, new SpoolOptions { Directory = folder, LimitBytes = options.SpoolLimitBytes }));
        services.AddSingleton<FactTable>();
        services.AddSingleton<HistoryLog>();
        services.AddSingleton<FactApplier>();
        services.AddSingleton(s => ActivatorUtilities.CreateInstance<ParkedFacts>(
            s, Open(s, new SpoolOptions { Directory = Path.Combine(folder, "parked"), LimitBytes = options.SpoolLimitBytes })));
        services.AddSingleton<HistoryDelivery>();
        services.AddHostedService(s => s.GetRequiredService<HistoryDelivery>());
        services.AddHostedService(s => s.GetRequiredService<ParkedFacts>());
        return services;
    }

    private static Spool.Spool Open(IServiceProvider services, SpoolOptions options) => Spool.Spool.Open(
        options, services.GetRequiredService<SecretVault>(), services.GetRequiredService<TimeProvider>(), services.GetRequiredService<ILogger<Spool.Spool>>());
}
