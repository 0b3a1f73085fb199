namespace Relay.Silo.Hosting;

/// <summary>Whether this silo still takes new work. Safe for concurrent use.</summary>
internal sealed class DrainState : IDisposable
{
    private readonly CancellationTokenSource _begun = new();
    private readonly CancellationTokenSource _hurry = new();

    /// <summary>It finishes what it has: no new gateways, connectors, sessions.</summary>
    public bool IsDraining => _begun.IsCancellationRequested;

    /// <summary>Cancelled when draining begins.</summary>
    public CancellationToken Begun => _begun.Token;

    /// <summary>Cancelled when nothing is to be waited for any more: a second signal.</summary>
    public CancellationToken Hurry => _hurry.Token;

    public void Begin() => _begun.Cancel();

    public void EndNow() => _hurry.Cancel();

    public void Dispose()
    {
        _begun.Dispose();
        _hurry.Dispose();
    }
}
