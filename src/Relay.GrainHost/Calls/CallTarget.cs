using Orleans.Runtime;
using Relay.GrainHost.Activations;
using Relay.GrainHost.Membership;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Calls;

/// <summary>Where an observer lives.</summary>
internal sealed record ObserverAddress(string Silo, Guid Incarnation, Guid Id);

/// <summary>Whom a reference reaches, and the way there that worked last. Safe for concurrent use.</summary>
internal sealed class CallTarget
{
    private readonly CallRouter _router;
    private Route? _route;

    public CallTarget(CallRouter router, GrainInterface type, string key)
    {
        _router = router;
        Interface = type;
        Key = key;
        GrainId = new GrainId(type.Class?.GrainType ?? GrainType.Create(type.Alias), IdSpan.Create(key));
    }

    public CallTarget(CallRouter router, GrainInterface type, ObserverAddress observer)
    {
        _router = router;
        Interface = type;
        Observer = observer;
        Key = observer.Id.ToString("N");
        GrainId = GrainId.Create("observer", Key);
    }

    public GrainInterface Interface { get; }

    /// <summary>The grain's key; for an observer, its id.</summary>
    public string Key { get; }

    public GrainId GrainId { get; }

    /// <summary>Null for a grain.</summary>
    public ObserverAddress? Observer { get; }

    /// <summary>The activation that took the last call; it may have ended since. Null: look it up.</summary>
    public Activation? Activation { get; set; }

    public GrainReference As(GrainInterface type) => type.MakeReference(type == Interface ? this
        : Observer is null ? new CallTarget(_router, type, Key) : new CallTarget(_router, type, Observer));

    public Task<TResult> CallAsync<TArguments, TResult>(GrainMethod<TArguments, TResult> method, TArguments arguments, CancellationToken token)
        where TArguments : struct => _router.CallAsync(this, method, arguments, token);

    /// <summary>The silo to send to; null: this one.</summary>
    /// <exception cref="SiloUnavailableException">There is none.</exception>
    public SiloMember? RouteBy(MembershipView view)
    {
        var route = _route;
        if (route is null || route.View != view)
        {
            route = new Route(view, _router.OwnerOf(view, Interface, Key, Observer));
            _route = route;
        }

        return route.Owner;
    }

    private sealed record Route(MembershipView View, SiloMember? Owner);
}
