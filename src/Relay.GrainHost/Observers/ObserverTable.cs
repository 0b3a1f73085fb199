using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Runtime;
using Relay.GrainHost.Activations;
using Relay.GrainHost.Calls;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Membership;
using Relay.GrainHost.Turns;

namespace Relay.GrainHost.Observers;

/// <summary>The observers of this process, held weakly. Each has an activation of its own, so its calls come one at a time. Safe for concurrent use.</summary>
internal sealed partial class ObserverTable(GrainHostOptions options, CallRouter router, ILocalSilo local, TimeProvider time, ILogger logger) : IActivationOwner
{
    private readonly ConcurrentDictionary<string, (Activation Activation, WeakReference Target)> _observers = new(StringComparer.Ordinal);
    private readonly ConditionalWeakTable<object, CallTarget> _targets = [];

    public CoarseClock Clock => router.Clock;

    public TimeProvider Time => time;

    public ILogger Logger => logger;

    public IGrainFactory GrainFactory => router.Factory;

    public int MaxQueuedCalls => options.MaxQueuedCalls;

    public TimeSpan ActivationTimeout => options.ActivationTimeout;

    public TimeSpan DeactivationTimeout => options.DeactivationTimeout;

    public int Count => _observers.Count;

    /// <summary>The same reference each time for the same object and interface.</summary>
    public GrainReference Add(Type type, IGrainObserver observer)
    {
        if (observer is GrainReference) throw new ArgumentException("The observer is a reference already.", nameof(observer));
        var known = router.Types.Get(type);
        if (!type.IsInstanceOfType(observer)) throw new ArgumentException($"The observer does not implement {type}.", nameof(observer));
        return _targets.GetValue(observer, _ =>
        {
            var address = new ObserverAddress(local.Address, local.Incarnation, Guid.NewGuid());
            var target = new CallTarget(router, known, address);
            _observers[target.Key] = (new Activation(this, null, target.GrainId, reentrant: false), new WeakReference(observer));
            return target;
        }).As(known);
    }

    public void Remove(IGrainObserver reference)
    {
        if (reference is not GrainReference { Target.Observer: not null } made) return;
        if (!_observers.TryGetValue(made.Target.Key, out var held)) return;
        if (held.Target.Target is { } observer) _targets.Remove(observer);
        held.Activation.Deactivate(new(DeactivationReasonCode.ApplicationRequested, "The reference was deleted."));
        _observers.TryRemove(made.Target.Key, out _);
    }

    /// <exception cref="OrleansMessageRejectionException">There is none of that id, or not any more.</exception>
    public Activation Get(string id) => _observers.TryGetValue(id, out var held)
        ? held.Activation
        : throw new OrleansMessageRejectionException("The observer does not exist any more.");

    public void Expire(long now)
    {
        foreach (var (_, held) in _observers) held.Activation.Expire(now);
    }

    /// <summary>Forgets those whose object is gone.</summary>
    public void Collect()
    {
        foreach (var (id, held) in _observers)
        {
            if (!held.Target.IsAlive && _observers.TryRemove(id, out _))
                held.Activation.Deactivate(new(DeactivationReasonCode.ActivationIdle, "The observer is gone."));
        }
    }

    object IActivationOwner.CreateInstance(Activation activation) =>
        _observers.TryGetValue(activation.GrainId.Key.ToString(), out var held) ? held.Target : new WeakReference(null);

    object? IActivationOwner.Resolve(object instance) => ((WeakReference)instance).Target;

    GrainReference IActivationOwner.MakeReference(Activation activation) =>
        throw new InvalidOperationException("An observer has no context.");

    void IActivationOwner.Remove(Activation activation) => _observers.TryRemove(activation.GrainId.Key.ToString(), out _);

    ValueTask IActivationOwner.DisposeAsync(Activation activation, object? instance) => default;

    void IActivationOwner.ActivationFailed(Activation activation, Exception exception) => LogObserverFailed(activation.GrainId, exception);

    void IActivationOwner.DeactivationFailed(Activation activation, Exception exception) => LogObserverFailed(activation.GrainId, exception);
}
