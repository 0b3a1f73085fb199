using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Relay.GrainHost.Timers;

internal sealed partial class GrainTimer
{
    [LoggerMessage(EventId = 3101, Level = LogLevel.Error, Message = "A timer of {Grain} failed.")]
    private partial void LogTickFailed(GrainId grain, Exception exception);
}
