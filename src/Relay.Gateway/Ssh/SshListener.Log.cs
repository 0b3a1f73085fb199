using System.Net.Sockets;
using Microsoft.Extensions.Logging;

namespace Relay.Gateway.Ssh;

internal sealed partial class SshListener
{
    [LoggerMessage(EventId = 3301, Level = LogLevel.Warning, Message = "accepting a connection failed")]
    private static partial void LogAcceptFailed(ILogger logger, SocketError error);
}
