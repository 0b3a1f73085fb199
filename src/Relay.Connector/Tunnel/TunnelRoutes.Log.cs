using Microsoft.Extensions.Logging;

namespace Relay.Connector.Tunnel;

internal sealed partial class TunnelRoutes
{
    [LoggerMessage(4101, LogLevel.Debug, "stream opened")]
    private partial void LogStreamOpened(Guid session, string target);

    [LoggerMessage(4102, LogLevel.Debug, "stream closed")]
    private partial void LogStreamClosed(Guid session, string target, string ending, long bytesIn, long bytesOut);

    [LoggerMessage(4103, LogLevel.Warning, "target not reached")]
    private partial void LogTargetNotReached(Guid session, string target, string code, string cause);

    [LoggerMessage(4104, LogLevel.Warning, "stream refused: its epoch is over")]
    private partial void LogStaleEpoch(Guid session, long epoch, long highestEpoch);

    [LoggerMessage(4106, LogLevel.Warning, "stream refused: it came too late")]
    private partial void LogLateOpen(Guid session, long epoch);

    [LoggerMessage(4107, LogLevel.Debug, "stream admitted")]
    private partial void LogStreamAdmitted(Guid session, long epoch);

    // Whatever became of it: of every admitted stream exactly once.
    [LoggerMessage(4108, LogLevel.Debug, "stream over")]
    private partial void LogStreamOver(Guid session, long epoch);
}
