using Microsoft.Extensions.Logging;

namespace Relay.GrainHost.Hosting;

public sealed partial class GrainSilo
{
    [LoggerMessage(EventId = 3501, Level = LogLevel.Critical, Message = "The other silos have declared {Address} dead; it hosts nothing any more.")]
    private partial void LogEvicted(string address);

    [LoggerMessage(EventId = 3502, Level = LogLevel.Warning, Message = "The process stood still for {Pause}.")]
    private partial void LogPaused(TimeSpan pause);

    [LoggerMessage(EventId = 3503, Level = LogLevel.Warning, Message = "The silo leaves without having finished: {Error}")]
    private partial void LogLeftInHaste(string error);

    [LoggerMessage(EventId = 3504, Level = LogLevel.Warning, Message = "A round of the membership failed: {Error}")]
    private partial void LogRoundFailed(string error);

    [LoggerMessage(EventId = 3505, Level = LogLevel.Warning, Message = "The silo has not joined yet: {Error}")]
    private partial void LogNotJoined(string error);
}
