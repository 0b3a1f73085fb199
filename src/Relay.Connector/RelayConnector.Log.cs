using Microsoft.Extensions.Logging;

namespace Relay.Connector;

// The phrases are those of the product's reference; each line only when it is true.
public sealed partial class RelayConnector
{
    [LoggerMessage(4001, LogLevel.Information, "starting Relay connector")]
    private partial void LogStarting(string version, Guid connectorId, string tokenSource);

    [LoggerMessage(4002, LogLevel.Information, "starting the connector service")]
    private partial void LogServing();

    [LoggerMessage(4003, LogLevel.Information, "connecting to connector server")]
    private partial void LogConnecting(string servers);

    [LoggerMessage(4004, LogLevel.Information, "connected to relay")]
    private partial void LogConnected(string relayPub, string server, long epoch, string connectorName);

    [LoggerMessage(4005, LogLevel.Warning, "connector server not reached")]
    private partial void LogNotReached(string cause);

    [LoggerMessage(4006, LogLevel.Warning, "connector server did not accept the connection")]
    private partial void LogRefused(string server, string cause);

    [LoggerMessage(4007, LogLevel.Debug, "attach failed")]
    private partial void LogAttachFailed(string server, string cause);

    [LoggerMessage(4008, LogLevel.Warning, "control stream closed")]
    private partial void LogClosed(double nextRetrySeconds);

    [LoggerMessage(4009, LogLevel.Information, "trying again later")]
    private partial void LogRetry(double nextRetrySeconds);

    [LoggerMessage(4010, LogLevel.Warning, "disconnecting connector as requested by server")]
    private partial void LogDisconnectedByServer(string cause);

    [LoggerMessage(4011, LogLevel.Warning, "stopping connector as requested by server")]
    private partial void LogStoppedByServer(string cause);

    [LoggerMessage(4012, LogLevel.Information, "stopping: open streams may finish")]
    private partial void LogStopping();

    [LoggerMessage(4013, LogLevel.Information, "connector stopped")]
    private partial void LogStopped();

    [LoggerMessage(4014, LogLevel.Critical, "{Cause}")]
    private static partial void LogFatal(ILogger logger, string cause, int exitCode);

    [LoggerMessage(4015, LogLevel.Error, "{Cause}")]
    private static partial void LogNoToken(ILogger logger, string cause, IReadOnlyList<string> placesTried);

    [LoggerMessage(4016, LogLevel.Information, "moved to another server; open streams finish on the former connection")]
    private partial void LogMoved(string from, string to, long formerEpoch, long epoch);

    [LoggerMessage(4017, LogLevel.Warning, "the server gives no sign of life; trying others")]
    private partial void LogSilent(string server);
}
