namespace Relay.Silo.Grid;

internal sealed partial class GridServer
{
    [LoggerMessage(4001, LogLevel.Warning, "grain link refused: {Remote} is {Peer}")]
    private static partial void LogGrainLinkRefused(ILogger logger, string remote, string peer);

    [LoggerMessage(4002, LogLevel.Error, "grid request failed: {Method} {Route}, request {RequestId}")]
    private static partial void LogRequestFailed(ILogger logger, string method, string route, string requestId, Exception exception);

    [LoggerMessage(4012, LogLevel.Warning, "grid request needs the database, which is away: {Method} {Route}, request {RequestId}: {Reason}")]
    private static partial void LogStoreAway(ILogger logger, string method, string route, string requestId, string reason);
}
