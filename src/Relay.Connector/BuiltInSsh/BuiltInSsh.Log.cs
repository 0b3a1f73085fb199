using Microsoft.Extensions.Logging;

namespace Relay.Connector.BuiltInSsh;

internal static partial class BuiltInSshLog
{
    [LoggerMessage(4201, LogLevel.Information, "built-in ssh: session {SessionId} logged in as {User}")]
    public static partial void LoggedIn(ILogger logger, Guid sessionId, string user);

    [LoggerMessage(4202, LogLevel.Warning, "built-in ssh: session {SessionId} could not log in: {Reason}")]
    public static partial void LoginFailed(ILogger logger, Guid sessionId, string reason);

    [LoggerMessage(4203, LogLevel.Warning, "built-in ssh: session {SessionId} could not start a program: {Reason}")]
    public static partial void StartFailed(ILogger logger, Guid sessionId, string reason);
}
