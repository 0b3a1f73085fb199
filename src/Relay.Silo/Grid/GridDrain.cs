namespace Relay.Silo.Grid;

/// <summary>Cancelled when this silo stops serving the grid: long-lived answers end, so that gateways go elsewhere.</summary>
internal sealed class GridDrain : IDisposable
{
    private readonly CancellationTokenSource _source = new();

    public CancellationToken Token => _source.Token;

    public void Begin() => _source.Cancel();

    public void Dispose() => _source.Dispose();
}
