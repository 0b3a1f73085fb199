using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Relay.GrainHost.Observers;

internal sealed partial class ObserverTable
{
    [LoggerMessage(EventId = 3201, Level = LogLevel.Error, Message = "{Observer} failed.")]
    private partial void LogObserverFailed(GrainId observer, Exception exception);
}
