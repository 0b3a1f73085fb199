namespace Relay.Silo.Sessions;

internal sealed partial class SessionRegistry
{
    [LoggerMessage(4201, LogLevel.Information, "session {SessionId} ended: {Outcome}")]
    private static partial void LogEnded(ILogger logger, Guid sessionId, string outcome);

    [LoggerMessage(4202, LogLevel.Information, "session {SessionId} goes on here, brought by gateway {Gateway}")]
    private static partial void LogAdopted(ILogger logger, Guid sessionId, string gateway);

    [LoggerMessage(4203, LogLevel.Warning, "end of session {SessionId} not written yet: {Reason}")]
    private static partial void LogNotWritten(ILogger logger, Guid sessionId, string reason);
}
