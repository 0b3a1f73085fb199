using Relay.GrainHost.Hosting;
using Relay.GrainHost.Membership;
using Relay.Grains;
using Relay.Grains.Sessions;
using Relay.Silo.Grid;
using Relay.Silo.Storage;

namespace Relay.Silo.Hosting;

/// <summary>The built-in grain host with Relay's grains, its membership in the database, its links on the grid's port.</summary>
internal static class GrainsServiceCollectionExtensions
{
    public static IServiceCollection AddGrains(this IServiceCollection services, SiloOptions options, SiloEndpoints endpoints)
    {
        services.AddSingleton<IMembershipTable, MembershipTable>();
        services.AddSingleton<IGridMembers, HostMembers>();
        services.AddRelayGrains();
        return services.AddGrainHost(host =>
        {
            host.Address = endpoints.Grid;
            host.Name = options.Name;
            host.Region = options.Region;
            host.ConnectorAddress = endpoints.Connectors;
            host.Version = typeof(SiloHost).Assembly.GetName().Version?.ToString(3) ?? "";
            host.GrainAssemblies.Add(typeof(ISessionGrain).Assembly);
        });
    }
}
