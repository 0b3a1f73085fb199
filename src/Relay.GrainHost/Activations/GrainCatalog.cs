using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Runtime;
using Relay.GrainHost.Calls;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Membership;
using Relay.GrainHost.Turns;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Activations;

/// <summary>The grain activations of this silo: at most one per grain. Safe for concurrent use.</summary>
internal sealed partial class GrainCatalog(GrainHostOptions options, CallRouter router, IServiceProvider services, TimeProvider time, ILogger logger) : IActivationOwner
{
    private readonly ConcurrentDictionary<ActivationKey, Activation> _activations = new();
    private volatile bool _stopping;

    public CoarseClock Clock => router.Clock;

    public TimeProvider Time => time;

    public ILogger Logger => logger;

    public IGrainFactory GrainFactory => router.Factory;

    public int MaxQueuedCalls => options.MaxQueuedCalls;

    public TimeSpan ActivationTimeout => options.ActivationTimeout;

    public TimeSpan DeactivationTimeout => options.DeactivationTimeout;

    public int Count => _activations.Count;

    /// <summary>Calls that wait or run.</summary>
    public int LiveRequests => _activations.Values.Sum(activation => activation.LiveRequests);

    /// <exception cref="SiloUnavailableException">The silo shuts down.</exception>
    public Activation GetOrCreate(GrainClass grainClass, string key)
    {
        var at = new ActivationKey(grainClass, key);
        if (_activations.TryGetValue(at, out var known)) return known;
        if (_stopping) throw new SiloUnavailableException("The silo shuts down.");
        return _activations.GetOrAdd(at, static (at, self) => new Activation(self, at.Class, GrainId.Create(at.Class.Name, at.Key), at.Class.Reentrant), this);
    }

    public void Expire(long now)
    {
        foreach (var (_, held) in _activations) held.Expire(now);
    }

    public void CollectIdle(long now)
    {
        var ticks = CoarseClock.Steps(options.CollectionAge);
        foreach (var (_, held) in _activations)
        {
            if (held.IsIdle(now, ticks))
                held.Deactivate(new(DeactivationReasonCode.ActivationIdle, $"Not used for {options.CollectionAge}."));
        }
    }

    /// <summary>Lets go what belongs to another silo since the view changed.</summary>
    public void Yield(MembershipView view)
    {
        foreach (var (at, held) in _activations)
        {
            if (view.OwnerOf(StableHash.Combine(at.Class.Hash, StableHash.Of(at.Key))) is { } owner && owner != view.Local)
                held.Deactivate(new(DeactivationReasonCode.DirectoryFailure, $"{owner.Address} has the grain now."));
        }
    }

    /// <summary>Ends all activations and makes no more. Completes when they have ended.</summary>
    public Task StopAsync(string why)
    {
        _stopping = true;
        var all = _activations.Values.ToArray();
        foreach (var held in all) held.Deactivate(new(DeactivationReasonCode.ShuttingDown, why));
        return Task.WhenAll(all.Select(held => held.Deactivated));
    }

    object IActivationOwner.CreateInstance(Activation activation)
    {
        var scope = services.CreateAsyncScope();
        activation.Scope = scope;
        activation.ActivationServices = scope.ServiceProvider;
        ActivationScope.Current = activation;
        try
        {
            return activation.Class!.Create(scope.ServiceProvider);
        }
        finally
        {
            ActivationScope.Current = null;
        }
    }

    object IActivationOwner.Resolve(object instance) => instance;

    GrainReference IActivationOwner.MakeReference(Activation activation)
    {
        var type = router.Types.Interfaces.First(known => known.Class == activation.Class);
        return type.MakeReference(new CallTarget(router, type, activation.GrainId.Key.ToString()));
    }

    void IActivationOwner.Remove(Activation activation)
    {
        var at = new ActivationKey(activation.Class!, activation.GrainId.Key.ToString());
        // This one only: a newer activation of the same grain may have its place already.
        _activations.TryRemove(new KeyValuePair<ActivationKey, Activation>(at, activation));
    }

    async ValueTask IActivationOwner.DisposeAsync(Activation activation, object? instance)
    {
        switch (instance)
        {
            case IAsyncDisposable disposable: await disposable.DisposeAsync(); break;
            case IDisposable disposable: disposable.Dispose(); break;
            default: break;
        }

        if (activation.Scope is { } scope) await scope.DisposeAsync();
    }

    void IActivationOwner.ActivationFailed(Activation activation, Exception exception) => LogActivationFailed(activation.GrainId, exception);

    void IActivationOwner.DeactivationFailed(Activation activation, Exception exception) => LogDeactivationFailed(activation.GrainId, exception);

    private readonly record struct ActivationKey(GrainClass Class, string Key);
}
