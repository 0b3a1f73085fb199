using Relay.GrainHost.Hosting;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.GrainHosting;

/// <summary>Has the grain host of a silo that was started without the store join when it is there. To be started before the grain host.</summary>
internal sealed class LateJoin(ReadOnlyStart start, StoreHealth store, GrainHostOptions options, GrainSilo silo) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (start is { IsActive: true, Snapshot: { } snapshot })
        {
            silo.Remember([.. snapshot.Grid.Members]);
            options.JoinWhen = store.WhenReachableAsync;
        }

        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
