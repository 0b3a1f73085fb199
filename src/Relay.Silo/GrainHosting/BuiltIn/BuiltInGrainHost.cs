using Relay.GrainHost.Hosting;
using Relay.GrainHost.Links;
using Relay.GrainHost.Membership;
using Relay.Grains;
using Relay.Grains.Sessions;
using Relay.Silo.Grid;
using Relay.Silo.Hosting;

namespace Relay.Silo.GrainHosting;

/// <summary>The built-in grain host with Relay's grains, its membership in the database, its links on the grid's port.</summary>
internal static class GrainHostBuilderExtensions
{
    public static void AddGrains(this WebApplicationBuilder builder, SiloOptions options, SiloEndpoints endpoints)
    {
        var services = builder.Services;
        services.AddSingleton<IMembershipTable, MembershipTable>();
        services.AddSingleton<IGridMembers, HostMembers>();
        services.AddSingleton<ISiloTransport, GrainLinkTransport>();
        services.AddSingleton<IGrainLinks, GrainLinks>();
        services.AddSingleton<IGridLeaving, GridLeaving>();
        services.AddSingleton(s => new SiloIdentity(options.Name, endpoints.Grid, s.GetRequiredService<ILocalSilo>().Incarnation));
        services.AddRelayGrains();
        services.AddHostedService<LateJoin>();
        services.AddGrainHost(host =>
        {
            host.Address = endpoints.Grid;
            host.Name = options.Name;
            host.Region = options.Region;
            host.ConnectorAddress = endpoints.Connectors;
            host.Version = SiloIdentity.Version;
            host.GrainAssemblies.Add(typeof(ISessionGrain).Assembly);
        });
    }
}
