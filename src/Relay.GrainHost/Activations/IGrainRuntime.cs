using Orleans;
using Orleans.Runtime;

namespace Relay.GrainHost.Activations;

/// <summary>What the model asks of the activation behind an <see cref="IGrainContext"/>.</summary>
internal interface IGrainRuntime
{
    IGrainFactory GrainFactory { get; }

    IGrainTimer RegisterTimer(Func<CancellationToken, Task> callback, GrainTimerCreationOptions options);

    void DelayDeactivation(TimeSpan timeSpan);
}
