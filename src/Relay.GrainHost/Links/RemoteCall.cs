using Relay.GrainHost.Serialization;
using Relay.GrainHost.Types;

namespace Relay.GrainHost.Links;

/// <summary>A call whose grain is in another silo.</summary>
internal sealed class RemoteCall<TArguments, TResult>(GrainMethod<TArguments, TResult> method, string key) : PendingCall
    where TArguments : struct
{
    private readonly TaskCompletionSource<TResult> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CancellationTokenRegistration _registration;

    public Task<TResult> Task => _completion.Task;

    /// <summary>The caller's cancellation; unregistered when the call is over, which it may be already.</summary>
    public void Register(CancellationTokenRegistration registration)
    {
        _registration = registration;
        if (_completion.Task.IsCompleted) registration.Unregister();
    }

    public override void Complete(ref WireReader reader)
    {
        _registration.Unregister();
        if (method.Result is not { } codec || !reader.TryReadTag(out _, out var type))
        {
            _completion.TrySetResult(default!);
            return;
        }

        if (type != codec.WireType) throw new WireFormatException($"The result of {method} has another type.");
        _completion.TrySetResult(codec.Read(ref reader));
    }

    public override void CompleteEmpty() => _completion.TrySetResult(default!);

    public override void Fail(Exception exception)
    {
        _registration.Unregister();
        if (exception is OperationCanceledException cancelled) _completion.TrySetCanceled(cancelled.CancellationToken);
        else _completion.TrySetException(exception);
    }

    public override void Expire() => Fail(new TimeoutException($"{method} on {key} took longer than its deadline."));
}
