using Microsoft.Extensions.Logging;

namespace Relay.GrainHost.Membership;

internal sealed partial class FailureDetector
{
    [LoggerMessage(EventId = 3405, Level = LogLevel.Warning, Message = "{Address} does not answer but cannot be declared dead: {Error}")]
    private partial void LogNotDeclared(string address, string error);
}
