using Microsoft.Extensions.Logging;

namespace Relay.GrainHost.Membership;

internal sealed partial class FailureDetector
{
    [LoggerMessage(EventId = 3405, Level = LogLevel.Warning, Message = "{Address} does not answer but cannot be declared dead: {Error}")]
    private partial void LogNotDeclared(string address, string error);

    [LoggerMessage(EventId = 3406, Level = LogLevel.Warning, Message = "{Address} does not answer here, but {Witness} hears it: the way between is cut, and it is not declared dead")]
    private partial void LogHeardByOther(string address, string witness);
}
