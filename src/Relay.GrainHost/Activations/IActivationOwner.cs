using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Runtime;
using Relay.GrainHost.Turns;

namespace Relay.GrainHost.Activations;

/// <summary>What an activation needs from whoever keeps it: the catalog for grains, the observer table for observers.</summary>
internal interface IActivationOwner
{
    CoarseClock Clock { get; }

    TimeProvider Time { get; }

    ILogger Logger { get; }

    IGrainFactory GrainFactory { get; }

    int MaxQueuedCalls { get; }

    TimeSpan ActivationTimeout { get; }

    TimeSpan DeactivationTimeout { get; }

    /// <summary>Makes what the activation holds. May throw: the activation then fails.</summary>
    object CreateInstance(Activation activation);

    /// <summary>The object to call; null when it is gone.</summary>
    object? Resolve(object instance);

    GrainReference MakeReference(Activation activation);

    /// <summary>The activation takes no more calls.</summary>
    void Remove(Activation activation);

    ValueTask DisposeAsync(Activation activation, object? instance);

    void ActivationFailed(Activation activation, Exception exception);

    void DeactivationFailed(Activation activation, Exception exception);
}

/// <summary>What became of a call that was handed to an activation.</summary>
internal enum EnqueueResult
{
    /// <summary>The activation has it.</summary>
    Queued,

    /// <summary>The activation has ended; another one must take it.</summary>
    Closed,

    /// <summary>Too many calls wait already.</summary>
    Full,
}
