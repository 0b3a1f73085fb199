
namespace Relay.Silo.Storage;

internal sealed partial class EmbeddedPostgres
{
    [LoggerMessage(2000, LogLevel.Information, "private PostgreSQL started in {Directory}")]
    private static partial void LogStarted(ILogger logger, string directory);

    [LoggerMessage(2001, LogLevel.Information, "private PostgreSQL stopped")]
    private static partial void LogStopped(ILogger logger);

    [LoggerMessage(2002, LogLevel.Warning, "private PostgreSQL did not stop within {Seconds} s; it was killed and will recover at the next start")]
    private static partial void LogStopTimeout(ILogger logger, double seconds);

    [LoggerMessage(2003, LogLevel.Warning, "a PostgreSQL server (process {Pid}) of an owner that is gone still runs; it is stopped first")]
    private static partial void LogPredecessor(ILogger logger, int pid);
}
