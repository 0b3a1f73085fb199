namespace Relay.Silo.Storage;

/// <summary>
/// A token that ends with its caller or with the store, without the store's end waiting for what is given up (<see cref="OutageThreads"/>). Dispose when
/// the operation is over, or was left to itself.
/// </summary>
internal sealed class StoreBound : IDisposable
{
    private readonly CancellationTokenSource _either = new();
    private readonly CancellationToken _outage;
    private readonly CancellationTokenRegistration _onCaller;
    private readonly CancellationTokenRegistration _onOutage;

    /// <param name="caller">Ends it as well.</param>
    /// <param name="outage"><see cref="StoreHealth.Outage"/>; none: the store is not needed.</param>
    public StoreBound(CancellationToken caller, CancellationToken outage)
    {
        _outage = outage;
        if (outage.IsCancellationRequested)
            _either.Cancel();
        _onCaller = caller.UnsafeRegister(static source => ((CancellationTokenSource)source!).Cancel(), _either);
        _onOutage = outage.UnsafeRegister(static source => _ = ((CancellationTokenSource)source!).CancelAsync(), _either);
    }

    public CancellationToken Token => _either.Token;

    /// <summary>It has ended with the store.</summary>
    public bool StoreIsLost => _outage.IsCancellationRequested;

    public void Dispose()
    {
        _onCaller.Dispose();
        _onOutage.Dispose();
        // Not the source itself: it has no timer, and may still be about to be cancelled.
    }
}
