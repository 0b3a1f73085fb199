namespace Relay.Grains.Connectors;

/// <summary>The lease table as a fresh <see cref="IConnectorGrain"/> activation reads it. The silo implements it.</summary>
public interface IConnectorLeases
{
    /// <summary>The holder of a lease that has not lapsed; null when there is none.</summary>
    ValueTask<ConnectorAttachment?> ReadAsync(Guid connectorId, CancellationToken cancellationToken);
}
