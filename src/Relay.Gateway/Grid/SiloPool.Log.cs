using Microsoft.Extensions.Logging;

namespace Relay.Gateway.Grid;

internal sealed partial class SiloPool
{
    [LoggerMessage(EventId = 3101, Level = LogLevel.Information, Message = "subscribed to silo {Silo}")]
    private static partial void LogSubscribed(ILogger logger, string silo);

    [LoggerMessage(EventId = 3102, Level = LogLevel.Warning, Message = "control stream of silo {Silo} closed: {Reason}; next try in {Milliseconds} ms")]
    private static partial void LogControlClosed(ILogger logger, string silo, string reason, long milliseconds);

    [LoggerMessage(EventId = 3103, Level = LogLevel.Information, Message = "using silo {Silo}")]
    private static partial void LogHome(ILogger logger, string silo);

    [LoggerMessage(EventId = 3104, Level = LogLevel.Warning, Message = "silo {Silo} failed ({Reason}), using another one")]
    private static partial void LogFailOver(ILogger logger, string silo, string reason);

    [LoggerMessage(EventId = 3105, Level = LogLevel.Error, Message = "watching silo {Silo} failed")]
    private static partial void LogWatchFailed(ILogger logger, string silo, Exception exception);

    [LoggerMessage(EventId = 3106, Level = LogLevel.Information, Message = "silo {Silo} is gone for good, not asked any more")]
    private static partial void LogForgotten(ILogger logger, string silo);

    [LoggerMessage(EventId = 3107, Level = LogLevel.Warning, Message = "silo {Silo} does not answer ({Reason}), new sessions go elsewhere")]
    private static partial void LogNoAnswer(ILogger logger, string silo, string reason);
}
