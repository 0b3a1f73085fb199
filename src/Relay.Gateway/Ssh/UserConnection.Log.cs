using Microsoft.Extensions.Logging;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Ssh;

internal sealed partial class UserConnection
{
    [LoggerMessage(EventId = 3201, Level = LogLevel.Information, Message = "session opened")]
    private static partial void LogOpened(ILogger logger, Guid session, string socket, string silo, string client);

    [LoggerMessage(EventId = 3203, Level = LogLevel.Debug, Message = "login failed")]
    private static partial void LogLoginFailed(ILogger logger, SshDisconnectReason reason, string detail);

    [LoggerMessage(EventId = 3204, Level = LogLevel.Error, Message = "a connection failed in the gateway")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
