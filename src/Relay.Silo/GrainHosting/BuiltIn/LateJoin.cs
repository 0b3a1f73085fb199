using Relay.GrainHost.Hosting;
using Relay.Silo.Devices;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.GrainHosting;

/// <summary>Has the grain host of a silo that was started without the store join when it is there. To be started before the grain host.</summary>
internal sealed partial class LateJoin(
    ReadOnlyStart start, StoreHealth store, NetworkAgreement agreement, GrainHostOptions options, GrainSilo silo, IHostApplicationLifetime lifetime, TimeProvider time, ILogger<LateJoin> logger) : IHostedService
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (start is { IsActive: true, Snapshot: { } snapshot })
        {
            silo.Remember([.. snapshot.Grid.Members]);
            options.JoinWhen = WhenAgreedAsync;
        }

        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    private async Task WhenAgreedAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await store.WhenReachableAsync(cancellationToken);
            try
            {
                await agreement.ClaimAsync(cancellationToken);
                return;
            }
            catch (StorageException e)
            {
                LogDisagrees(logger, e.Message);
                lifetime.StopApplication();
                throw;
            }
            catch (Exception e) when (StoreErrors.IsOutage(e))
            {
                // Gone again.
                await Task.Delay(Pause, time, cancellationToken);
            }
        }
    }

    [LoggerMessage(4423, LogLevel.Critical, "the silo does not join and ends: {Reason}")]
    private static partial void LogDisagrees(ILogger logger, string reason);
}
