using Relay.Silo.Storage;

namespace Relay.Silo.Hosting;

/// <summary>What a silo that was started without the store does when it is back; or when what is back is not its store.</summary>
internal sealed partial class StoreReturn(
    ControlPlane control, StoreHealth store, SiloOptions options, SiloEndpoints endpoints, DrainState drain, IHostApplicationLifetime lifetime, ILogger<StoreReturn> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!control.Start.IsActive)
            return;
        try
        {
            var back = store.WhenReachableAsync(stoppingToken);
            if (control.Database.Probe is StoreAdmission admission && await Task.WhenAny(back, admission.Refused) == admission.Refused)
            {
                // SECURITY: what this silo decides by may have been overtaken, and it cannot learn by what.
                LogRefused(logger, (await admission.Refused).Message);
                Environment.ExitCode = 1;
                drain.EndNow();
                lifetime.StopApplication();
                return;
            }

            await back;
            while (true)
            {
                try
                {
                    await control.WriteGatewayTokenAsync(Path.Combine(options.StateDirectory, "gateway.token"), endpoints.Grid, stoppingToken);
                    LogJoined(logger, options.Name);
                    return;
                }
                catch (Exception e) when (StoreErrors.IsOutage(e))
                {
                    store.Suspect(e);
                    await store.WhenReachableAsync(stoppingToken);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // It stops before the store is back.
        }
    }

    [LoggerMessage(4410, LogLevel.Critical, "this silo was started without the store and ends now: {Reason}")]
    private static partial void LogRefused(ILogger logger, string reason);

    [LoggerMessage(4411, LogLevel.Information, "the store is back: {Silo}, which was started without it, joins")]
    private static partial void LogJoined(ILogger logger, string silo);
}
