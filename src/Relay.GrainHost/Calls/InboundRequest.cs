using Relay.GrainHost.Links;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Calls;

/// <summary>Where a peer's call came from, and how its answer goes back.</summary>
/// <param name="Link">The link it came over.</param>
/// <param name="CallId">The peer's number for it.</param>
/// <param name="Key">The grain's key or the observer's id.</param>
/// <param name="Deadline">Of this silo's coarse clock.</param>
/// <param name="Hops">How often it was forwarded already.</param>
/// <param name="NoAnswer">The peer wants none.</param>
internal sealed record InboundCall(IncomingLink Link, ulong CallId, string Key, long Deadline, int Hops, bool NoAnswer);

/// <summary>The part of a peer's call that its link can cancel.</summary>
internal interface ICancellableCall
{
    void CancelByPeer();
}

/// <summary>A call whose caller is in another silo.</summary>
internal sealed class InboundRequest<TArguments, TResult> : Request<TArguments, TResult>, ICancellableCall
    where TArguments : struct
{
    private readonly InboundCall _origin;
    private int _answered;

    public InboundRequest(GrainMethod<TArguments, TResult> method, TArguments arguments, InboundCall origin)
        : base(origin.Link.Router, method, arguments, origin.Deadline)
    {
        _origin = origin;
        if (method.TakesToken) origin.Link.Track(origin.CallId, this);
    }

    public override string Key => _origin.Key;

    public override int Hops => _origin.Hops;

    public void CancelByPeer()
    {
        Interlocked.Exchange(ref _answered, 1);
        Cancel();
    }

    public override void Fail(Exception exception)
    {
        if (TryAnswer()) _origin.Link.SendFailure(_origin.CallId, exception);
    }

    protected override void Succeed(TResult result)
    {
        if (TryAnswer()) _origin.Link.SendResult(_origin.CallId, TypedMethod.Result, result);
    }

    private bool TryAnswer()
    {
        if (Interlocked.Exchange(ref _answered, 1) != 0) return false;
        if (Method.TakesToken) _origin.Link.Untrack(_origin.CallId);
        return !_origin.NoAnswer;
    }
}
