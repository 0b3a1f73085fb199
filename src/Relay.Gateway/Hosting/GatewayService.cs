using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Relay.Gateway.Grid;
using Relay.Protocol.Hosting;

namespace Relay.Gateway.Hosting;

/// <summary>Runs the gateway as part of a host. What can not be repaired by waiting stops the host with exit code 1.</summary>
internal sealed partial class GatewayService(
    GatewayOptions options, TimeProvider time, ILoggerFactory loggers, ILogger<GatewayService> logger, IHostApplicationLifetime lifetime) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            var token = GatewayTokenFile.Read(options.TokenFile);
            await using var runtime = new GatewayRuntime(options, token, time, loggers);
            await using var health = options.HttpListen is null ? null : await HealthListener.StartAsync(options.HttpListen, runtime, stoppingToken);
            if (health is not null)
            {
                LogHealth(logger, health.Address);
            }

            using var impatience = new SecondSignal(runtime.EndNow);
            await runtime.StartAsync(stoppingToken);
            await runtime.RunAsync(stoppingToken);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // Stopped before it was ready.
        }
        catch (Exception e) when (e is GridException or GatewayTokenException or IOException or System.Net.Sockets.SocketException)
        {
            LogFatal(logger, e.Message);
            Environment.ExitCode = 1;
            lifetime.StopApplication();
        }
    }

    [LoggerMessage(EventId = 3006, Level = LogLevel.Critical, Message = "the gateway can not run: {Reason}")]
    private static partial void LogFatal(ILogger logger, string reason);

    [LoggerMessage(EventId = 3007, Level = LogLevel.Information, Message = "health and metrics")]
    private static partial void LogHealth(ILogger logger, string http);
}
