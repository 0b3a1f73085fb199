namespace Relay.Grains.Connectors;

/// <summary>The lease table as a fresh <see cref="IConnectorGrain"/> activation reads it. The silo implements it.</summary>
public interface IConnectorLeases
{
    /// <summary>The holder of a lease that has not lapsed; null when there is none.</summary>
    ValueTask<ConnectorAttachment?> ReadAsync(Guid connectorId, CancellationToken cancellationToken);
}

/// <summary>Stands in where there is no lease table: a fresh activation then knows nobody until the holder reports.</summary>
internal sealed class NoConnectorLeases : IConnectorLeases
{
    public ValueTask<ConnectorAttachment?> ReadAsync(Guid connectorId, CancellationToken cancellationToken) => default;
}
