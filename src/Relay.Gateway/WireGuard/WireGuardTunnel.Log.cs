using Microsoft.Extensions.Logging;

namespace Relay.Gateway.WireGuard;

internal sealed partial class WireGuardTunnel
{
    [LoggerMessage(EventId = 3401, Level = LogLevel.Information, Message = "wireguard ready")]
    private static partial void LogStarted(ILogger logger, string listen, string publicKey, int queues, bool udpGro, bool udpSegment, bool tso, bool ipv6Inside);

    [LoggerMessage(EventId = 3403, Level = LogLevel.Error, Message = "wireguard is off: {Reason}")]
    private static partial void LogOff(ILogger logger, string reason);

    [LoggerMessage(EventId = 3404, Level = LogLevel.Information, Message = "wireguard stopped")]
    private static partial void LogStopped(ILogger logger, long packetsReceived, long packetsToKernel, long handshakesDropped);

    [LoggerMessage(EventId = 3402, Level = LogLevel.Critical, Message = "a turn of wireguard failed")]
    private static partial void LogTurnFailed(ILogger logger, Exception exception);
}
