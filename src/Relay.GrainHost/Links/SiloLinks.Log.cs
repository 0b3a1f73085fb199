using Microsoft.Extensions.Logging;

namespace Relay.GrainHost.Links;

internal sealed partial class SiloLinks
{
    [LoggerMessage(EventId = 3301, Level = LogLevel.Warning, Message = "A link from {Address} was refused: {Reason}")]
    private partial void LogRefused(string address, string reason);

    [LoggerMessage(EventId = 3302, Level = LogLevel.Information, Message = "A link from {Peer} ended in its handshake: {Error}")]
    private partial void LogHandshakeFailed(string peer, string error);
}
