namespace Relay.Silo.Api.Http;

/// <summary>
/// A request's token that ends with its caller or with the store. The store's end is passed on from a thread of its own: the driver
/// may block while it gives a statement up, and other requests end with the same store. Dispose after the request.
/// </summary>
internal sealed class StoreBound : IDisposable
{
    private readonly CancellationTokenSource _either = new();
    private readonly CancellationToken _outage;
    private readonly CancellationTokenRegistration _onAborted;
    private readonly CancellationTokenRegistration _onOutage;

    /// <param name="outage">None: the request needs no store.</param>
    public StoreBound(CancellationToken aborted, CancellationToken outage)
    {
        _outage = outage;
        if (outage.IsCancellationRequested)
            _either.Cancel();
        _onAborted = aborted.UnsafeRegister(static source => Cancel(source), _either);
        _onOutage = outage.UnsafeRegister(static source => ThreadPool.UnsafeQueueUserWorkItem(Cancel, source, preferLocal: false), _either);
    }

    public CancellationToken Token => _either.Token;

    public bool StoreIsLost => _outage.IsCancellationRequested;

    public void Dispose()
    {
        _onAborted.Dispose();
        _onOutage.Dispose();
        // Not the source itself: it has no timer, and the pool may still be about to cancel it.
    }

    private static void Cancel(object? source) => ((CancellationTokenSource)source!).Cancel();
}
