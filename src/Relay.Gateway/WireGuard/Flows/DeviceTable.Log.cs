using Microsoft.Extensions.Logging;

namespace Relay.Gateway.WireGuard.Flows;

internal sealed partial class DeviceTable
{
    [LoggerMessage(EventId = 3414, Level = LogLevel.Critical, Message = "the devices are not told any more: all are removed")]
    private static partial void LogSourceFailed(ILogger logger, Exception exception);

    [LoggerMessage(EventId = 3415, Level = LogLevel.Error, Message = "a device's preshared key is not 32 bytes: it is left as it was")]
    private static partial void LogUnusable(ILogger logger, Guid device);
}
