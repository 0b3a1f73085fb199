using Orleans;

namespace Relay.Grains.Connectors;

/// <summary>Remembers the attachment with the highest epoch. Losing it costs one read of the lease table.</summary>
[GrainType("connector")]
internal sealed class ConnectorGrain(IConnectorLeases leases) : Grain, IConnectorGrain
{
    private ConnectorAttachment? _attachment;
    private long _highestEpoch;

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (!Guid.TryParse(this.GetPrimaryKeyString(), out var connectorId)) throw new ArgumentException("The key of a connector grain is a UUID.");
        if (await leases.ReadAsync(connectorId, cancellationToken) is not { } held) return;
        _attachment = held;
        _highestEpoch = held.Epoch;
    }

    public Task<long> AttachedAsync(ConnectorAttachment attachment, CancellationToken cancellationToken)
    {
        if (attachment.Epoch >= _highestEpoch)
        {
            _highestEpoch = attachment.Epoch;
            _attachment = attachment;
        }

        return Task.FromResult(_highestEpoch);
    }

    public Task DetachedAsync(long epoch, CancellationToken cancellationToken)
    {
        // The epoch stays: an attachment that was reported late must not come back to life.
        if (epoch >= _highestEpoch)
        {
            _highestEpoch = epoch;
            _attachment = null;
        }

        return Task.CompletedTask;
    }

    public Task<ConnectorAttachment?> LocateAsync(CancellationToken cancellationToken) => Task.FromResult(_attachment);
}
