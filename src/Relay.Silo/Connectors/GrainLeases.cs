using Relay.Grains.Connectors;

namespace Relay.Silo.Connectors;

/// <summary>The lease table as a fresh connector grain reads it.</summary>
internal sealed class GrainLeases(ConnectorLeaseStore leases) : IConnectorLeases
{
    public async ValueTask<ConnectorAttachment?> ReadAsync(Guid connectorId, CancellationToken cancellationToken) =>
        await leases.ReadAsync(connectorId, cancellationToken) is { Live: true } lease
            ? new ConnectorAttachment(lease.Epoch, lease.Silo, lease.SiloIncarnation, lease.AgentInstance, lease.AgentAddress, lease.AttachedAt)
            : null;
}
