using Orleans;
using Orleans.Runtime;
using Relay.GrainHost.Activations;
using Relay.GrainHost.Links;
using Relay.GrainHost.Membership;
using Relay.GrainHost.Observers;
using Relay.GrainHost.Serialization;
using Relay.GrainHost.Turns;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Calls;

/// <summary>Brings each call to its activation, here or in another silo. Safe for concurrent use.</summary>
internal sealed class CallRouter(GrainTypes types, ILocalSilo local, CoarseClock clock, TimeSpan defaultTimeout)
{
    /// <summary>A call goes from silo to silo once: the first may have an older view than the second, but views do not chase a call around.</summary>
    private const int MaxHops = 1;

    // Set once, before the first call: these know the router too.
    public GrainCatalog Catalog { get; set; } = null!;

    public ObserverTable Observers { get; set; } = null!;

    public SiloLinks Links { get; set; } = null!;

    public IGrainFactory Factory { get; set; } = null!;

    public Func<MembershipView> View { get; set; } = null!;

    /// <summary>Whether this process stood still and has not looked at the membership since.</summary>
    public Func<bool> StoodStill { get; set; } = static () => false;

    public GrainTypes Types => types;

    public CoarseClock Clock => clock;

    public Task<TResult> CallAsync<TArguments, TResult>(CallTarget target, GrainMethod<TArguments, TResult> method, TArguments arguments, CancellationToken token)
        where TArguments : struct
    {
        if (token.IsCancellationRequested) return Task.FromCanceled<TResult>(token);
        try
        {
            var deadline = clock.After(method.Timeout ?? defaultTimeout);
            if (target.RouteBy(View()) is { } owner)
            {
                var sent = Links.Get(owner).CallAsync(target.Key, method, arguments, deadline, hops: 0, token);
                return method.OneWay ? Forget(sent) : sent;
            }

            var request = new LocalRequest<TArguments, TResult>(this, target.Key, method, method.Copy(arguments), deadline, token);
            Deliver(target, request);
            return method.OneWay ? Forget(request.Task) : request.Task;
        }
        catch (Exception e)
        {
            return Task.FromException<TResult>(e);
        }
    }

    /// <summary>For a call that another silo must answer after all.</summary>
    public Task<TResult> SendAsync<TArguments, TResult>(
        SiloMember owner, string key, GrainMethod<TArguments, TResult> method, TArguments arguments, long deadline, int hops, CancellationToken token)
        where TArguments : struct => Links.Get(owner).CallAsync(key, method, arguments, deadline, hops, token);

    /// <summary>A call arrived over a link.</summary>
    public void Receive(GrainMethod method, ref WireReader reader, InboundCall origin) => Route(method.ReadCall(ref reader, origin));

    /// <summary>Finds the place of a call that no activation has.</summary>
    public void Route(Request request)
    {
        try
        {
            var type = request.Method.Interface;
            if (type.IsObserver)
            {
                Enqueue(Observers.Get(request.Key), request);
                return;
            }

            var owner = OwnerOf(View(), type, request.Key, null);
            if (owner is null) Deliver(Catalog, request);
            else if (request.Hops < MaxHops) request.Forward(owner);
            else request.Fail(new OrleansMessageRejectionException($"The silos disagree where {type.Class!.Name}/{request.Key} is; the set of silos is just changing."));
        }
        catch (Exception e)
        {
            request.Fail(e);
        }
    }

    /// <summary>The silo that has a grain or observer; null: this one.</summary>
    public SiloMember? OwnerOf(MembershipView view, GrainInterface type, string key, ObserverAddress? observer)
    {
        if (observer is not null)
        {
            if (observer.Incarnation == local.Incarnation && observer.Silo == local.Address) return null;
            return view.Find(observer.Silo, observer.Incarnation)
                ?? throw new SiloUnavailableException($"The silo {observer.Silo} that has the observer is gone.");
        }

        if (type.Class is not { } grainClass) throw new OrleansException($"No grain class here implements {type.Type}.");
        var owner = view.OwnerOf(StableHash.Combine(grainClass.Hash, StableHash.Of(key)))
            ?? throw new SiloUnavailableException("No silo hosts grains.");
        return owner.Incarnation == local.Incarnation && owner.Address == local.Address ? null : owner;
    }

    private void Deliver(CallTarget target, Request request)
    {
        if (target.Observer is not null)
        {
            Enqueue(Observers.Get(target.Key), request);
            return;
        }

        if (target.Activation is { } last)
        {
            switch (last.TryEnqueue(request))
            {
                case EnqueueResult.Queued: return;
                case EnqueueResult.Full: request.Fail(Overloaded(last)); return;
                default: target.Activation = null; break;
            }
        }

        target.Activation = Deliver(Catalog, request);
    }

    private static Activation? Deliver(GrainCatalog catalog, Request request)
    {
        while (true)
        {
            var activation = catalog.GetOrCreate(request.Method.Interface.Class!, request.Key);
            switch (activation.TryEnqueue(request))
            {
                case EnqueueResult.Queued:
                    return activation;
                case EnqueueResult.Full:
                    request.Fail(Overloaded(activation));
                    return activation;
                default:
                    // It ended in between, and has left the catalog before.
                    continue;
            }
        }
    }

    private static void Enqueue(Activation observer, Request request)
    {
        switch (observer.TryEnqueue(request))
        {
            case EnqueueResult.Full: request.Fail(Overloaded(observer)); break;
            case EnqueueResult.Closed: request.Fail(new OrleansMessageRejectionException($"The observer {observer.GrainId} does not exist any more.")); break;
            default: break;
        }
    }

    private static LimitExceededException Overloaded(Activation activation) =>
        new($"{activation.GrainId} is overloaded: {activation.LiveRequests} calls wait.");

    /// <summary>The caller of a one-way call learns nothing; its failure must not surface as unobserved either.</summary>
    private static Task<TResult> Forget<TResult>(Task<TResult> task)
    {
        _ = task.ContinueWith(static t => _ = t.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        return Task.FromResult<TResult>(default!);
    }
}
