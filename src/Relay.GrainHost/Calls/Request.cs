using Relay.GrainHost.Activations;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Calls;

/// <summary>A call on its way to, or in, an activation of this silo.</summary>
internal abstract class Request(CallRouter router, GrainMethod method, long deadline) : WorkItem
{
    private const int Queued = 0;
    private const int Begun = 1;
    private const int Dropped = 2;

    private readonly CancellationTokenSource? _cancellation = method.TakesToken ? new CancellationTokenSource() : null;
    private int _state;

    public CallRouter Router { get; } = router;

    /// <summary>Of the coarse clock.</summary>
    public long Deadline { get; set; } = deadline;

    /// <summary>The grain's key; for an observer, its id.</summary>
    public abstract string Key { get; }

    /// <summary>How often the call was forwarded between silos.</summary>
    public virtual int Hops => 0;

    /// <summary>Links of the activation's list.</summary>
    public Request? Next { get; set; }

    /// <inheritdoc cref="Next"/>
    public Request? Previous { get; set; }

    public GrainMethod Method => method;

    public override bool AlwaysInterleave => method.AlwaysInterleave;

    public override bool ReadOnly => method.ReadOnly;

    /// <summary>What the grain sees: cancelled at the deadline, by the caller, and when the caller's silo is lost.</summary>
    protected CancellationToken Token => _cancellation?.Token ?? default;

    public override bool TryBegin()
    {
        if (Router.Clock.HasPassed(Deadline)) Expire();
        return Interlocked.CompareExchange(ref _state, Begun, Queued) == Queued;
    }

    public override void Redirect() => Router.Route(this);

    /// <summary>It was given up before it began.</summary>
    public bool IsDropped => Volatile.Read(ref _state) == Dropped;

    /// <summary>Sends the call on to another silo and takes its answer for the caller.</summary>
    public abstract void Forward(Membership.SiloMember owner);

    /// <summary>The deadline has passed: the caller learns it; a call that was not begun never will be.</summary>
    public void Expire()
    {
        Fail(new TimeoutException($"{method} on {Key} took longer than its deadline."));
        Cancel();
    }

    /// <summary>Nobody waits for the answer any more.</summary>
    protected void Cancel()
    {
        var before = Interlocked.CompareExchange(ref _state, Dropped, Queued);
        if (before == Dropped) return;
        // Out of the line: behind a call that hangs it would take up room for ever.
        if (before == Queued) Activation?.Prune();
        // Not on this thread: what the grain registered must not hold up the clock or the link.
        _ = _cancellation?.CancelAsync();
    }
}

/// <inheritdoc/>
internal abstract class Request<TArguments, TResult>(CallRouter router, GrainMethod<TArguments, TResult> method, TArguments arguments, long deadline)
    : Request(router, method, deadline)
    where TArguments : struct
{
    protected GrainMethod<TArguments, TResult> TypedMethod => method;

    public override void Start(object instance)
    {
        ValueTask<TResult> pending;
        try
        {
            pending = method.Invoke(instance, arguments, Token);
            if (!pending.IsCompleted)
            {
                _ = FinishAsync(pending);
                return;
            }

            Succeed(pending.GetAwaiter().GetResult());
        }
        catch (Exception e)
        {
            Fail(e);
        }

        Activation!.Finish(this);
    }

    public override void Forward(Membership.SiloMember owner)
    {
        if (TryBegin()) _ = ForwardAsync(owner);
    }

    /// <summary>The caller gets the result. Must not throw but for a result that cannot travel. Ignored once the call has an outcome.</summary>
    protected abstract void Succeed(TResult result);

    private async Task FinishAsync(ValueTask<TResult> pending)
    {
        try
        {
            // Begun in a turn, so this resumes in one.
            Succeed(await pending);
        }
        catch (Exception e)
        {
            Fail(e);
        }

        Activation!.Finish(this);
    }

    private async Task ForwardAsync(Membership.SiloMember owner)
    {
        try
        {
            Succeed(await Router.SendAsync(owner, Key, method, arguments, Deadline, Hops + 1, Token).ConfigureAwait(false));
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }
}
