using Relay.GrainHost.Types;

namespace Relay.GrainHost.Calls;

/// <summary>A call whose caller is in this process.</summary>
internal sealed class LocalRequest<TArguments, TResult> : Request<TArguments, TResult>
    where TArguments : struct
{
    private readonly TaskCompletionSource<TResult> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationToken _callerToken;
    private readonly CancellationTokenRegistration _registration;

    public LocalRequest(CallRouter router, string key, GrainMethod<TArguments, TResult> method, TArguments arguments, long deadline, CancellationToken callerToken)
        : base(router, method, arguments, deadline)
    {
        Key = key;
        if (!callerToken.CanBeCanceled) return;
        _callerToken = callerToken;
        _registration = callerToken.UnsafeRegister(static self => ((LocalRequest<TArguments, TResult>)self!).OnCallerCancelled(), this);
    }

    public override string Key { get; }

    public Task<TResult> Task => _completion.Task;

    public override void Fail(Exception exception)
    {
        _registration.Unregister();
        if (exception is OperationCanceledException cancelled) _completion.TrySetCanceled(cancelled.CancellationToken);
        else _completion.TrySetException(exception);
    }

    protected override void Succeed(TResult result)
    {
        _registration.Unregister();
        if (TypedMethod.CopyResult) result = TypedMethod.Result!.Copy(result);
        _completion.TrySetResult(result);
    }

    private void OnCallerCancelled()
    {
        _completion.TrySetCanceled(_callerToken);
        Cancel();
    }
}
