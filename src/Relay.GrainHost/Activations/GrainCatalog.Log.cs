using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace Relay.GrainHost.Activations;

internal sealed partial class GrainCatalog
{
    [LoggerMessage(EventId = 3001, Level = LogLevel.Error, Message = "{Grain} could not be activated.")]
    private partial void LogActivationFailed(GrainId grain, Exception exception);

    [LoggerMessage(EventId = 3002, Level = LogLevel.Error, Message = "{Grain} failed while it was deactivated.")]
    private partial void LogDeactivationFailed(GrainId grain, Exception exception);
}
