namespace Relay.Silo.Connectors;

/// <summary>Says which silo holds a connector. An answer can be old: who dials must be ready to be refused. Safe for concurrent use.</summary>
internal interface IConnectorDirectory
{
    /// <summary>A tunnel was attached here. Never throws, does not wait for anybody.</summary>
    void Attached(ConnectorLease lease);

    /// <summary>The tunnel of this epoch is gone. Never throws, does not wait for anybody.</summary>
    void Detached(Guid connectorId, long epoch);

    /// <summary>The live leases among these connectors.</summary>
    /// <param name="fresh">True: an earlier answer was wrong, ask the table.</param>
    /// <exception cref="IOException">Nobody can tell now.</exception>
    ValueTask<IReadOnlyList<ConnectorLease>> LocateAsync(IReadOnlyCollection<Guid> connectorIds, bool fresh, CancellationToken cancellationToken);
}
