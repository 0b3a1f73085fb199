using Relay.Silo.Snapshots;

namespace Relay.Silo.Sessions;

/// <summary>Live sessions: who they are, what they may, how they end.</summary>
internal static class SessionsServiceCollectionExtensions
{
    public static IServiceCollection AddSessions(this IServiceCollection services)
    {
        services.AddSingleton<SessionStore>();
        services.AddSingleton<SessionAuthorizer>();
        services.AddSingleton<UserIdentifier>();
        services.AddSingleton<UpstreamCredentials>();
        services.AddSingleton<HostKeyPins>();
        services.AddSingleton<RepeatedRefusals>();
        services.AddSingleton<SessionEntry>();
        services.AddSingleton<SessionOpener>();
        services.AddSingleton<FlowOpener>();
        services.AddSingleton<SocketNames>();
        services.AddSingleton<GatewaySubscriptions>();
        services.AddSingleton<RevokedGateways>();
        services.AddSingleton<SessionRegistry>();
        services.AddSingleton<ISnapshotObserver>(s => s.GetRequiredService<SessionRegistry>());
        services.AddHostedService(s => s.GetRequiredService<SessionRegistry>());
        services.AddHostedService<SessionKillWatch>();
        services.AddHostedService<SessionReports>();
        return services;
    }
}
