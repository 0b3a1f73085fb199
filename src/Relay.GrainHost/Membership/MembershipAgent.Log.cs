using Microsoft.Extensions.Logging;

namespace Relay.GrainHost.Membership;

internal sealed partial class MembershipAgent
{
    [LoggerMessage(EventId = 3401, Level = LogLevel.Information, Message = "Silos at version {Version}: {Silos}")]
    private partial void LogChanged(long version, string silos);

    [LoggerMessage(EventId = 3402, Level = LogLevel.Warning, Message = "{Address} ({Incarnation}) is declared dead: {Why}")]
    private partial void LogDeclaredDead(string address, Guid incarnation, string why);

    [LoggerMessage(EventId = 3403, Level = LogLevel.Warning, Message = "The membership table cannot be read; the last view stays: {Error}")]
    private partial void LogStoreUnreachable(string error);

    [LoggerMessage(EventId = 3404, Level = LogLevel.Information, Message = "The membership table can be read again.")]
    private partial void LogStoreBack();
}
