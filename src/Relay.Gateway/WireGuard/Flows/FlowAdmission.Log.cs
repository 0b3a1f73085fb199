using Microsoft.Extensions.Logging;
using Relay.Gateway.WireGuard.Decisions;

namespace Relay.Gateway.WireGuard.Flows;

internal sealed partial class FlowAdmission
{
    [LoggerMessage(EventId = 3411, Level = LogLevel.Information, Message = "flow refused")]
    private static partial void LogRefused(ILogger logger, Guid device, FlowProtocol protocol, string dialled, string reason);

    [LoggerMessage(EventId = 3412, Level = LogLevel.Warning, Message = "too many flows")]
    private static partial void LogTooMany(ILogger logger, FlowProtocol protocol, string whose);

    [LoggerMessage(EventId = 3413, Level = LogLevel.Error, Message = "deciding about a flow failed")]
    private static partial void LogFailed(ILogger logger, Guid device, string dialled, Exception exception);
}
