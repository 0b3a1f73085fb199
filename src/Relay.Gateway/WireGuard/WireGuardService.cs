using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Relay.Gateway.WireGuard.Decisions;

namespace Relay.Gateway.WireGuard;

/// <summary>Runs WireGuard beside the rest of the gateway, when it is configured. Where it can not be, one line says why, and the rest goes on.</summary>
internal sealed partial class WireGuardService(WireGuardOptions options, IDevices devices, IFlows flows, TimeProvider time, ILogger<WireGuardService> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await using var tunnel = await WireGuardTunnel.StartAsync(options, devices, flows, time, logger);
            await Task.Delay(Timeout.InfiniteTimeSpan, time, stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // Going down.
        }
        catch (WireGuardUnavailableException e)
        {
            LogOff(logger, e.Message);
        }
    }

    [LoggerMessage(EventId = 3403, Level = LogLevel.Error, Message = "wireguard is off: {Reason}")]
    private static partial void LogOff(ILogger logger, string reason);
}
