using Microsoft.Extensions.Logging;

namespace Relay.Gateway.Hosting;

internal sealed partial class GatewayRuntime
{
    [LoggerMessage(EventId = 3001, Level = LogLevel.Information, Message = "gateway ready")]
    private static partial void LogReady(ILogger logger, string ssh, string name, string hostKey);

    [LoggerMessage(EventId = 3002, Level = LogLevel.Information, Message = "gateway enrolled")]
    private static partial void LogEnrolled(ILogger logger, string name, string validUntil);

    [LoggerMessage(EventId = 3003, Level = LogLevel.Warning, Message = "enrolling failed: {Reason}")]
    private static partial void LogEnrollFailed(ILogger logger, string reason, long nextTryMilliseconds);

    [LoggerMessage(EventId = 3004, Level = LogLevel.Information, Message = "draining")]
    private static partial void LogDraining(ILogger logger, int sessions, double limitSeconds);

    [LoggerMessage(EventId = 3005, Level = LogLevel.Information, Message = "gateway stopped")]
    private static partial void LogStopped(ILogger logger);

    [LoggerMessage(EventId = 3009, Level = LogLevel.Warning, Message = "wireguard waits: the silos are of a version that does not know of it")]
    private static partial void LogWireGuardWaits(ILogger logger);

    [LoggerMessage(EventId = 3010, Level = LogLevel.Error, Message = "wireguard is off: {Reason}")]
    private static partial void LogWireGuardOff(ILogger logger, string reason);

    [LoggerMessage(EventId = 3011, Level = LogLevel.Critical, Message = "wireguard failed")]
    private static partial void LogWireGuardFailed(ILogger logger, Exception exception);

    [LoggerMessage(EventId = 3008, Level = LogLevel.Warning, Message = "ending what is left")]
    private static partial void LogEnding(ILogger logger, int sessions, string cause);
}
