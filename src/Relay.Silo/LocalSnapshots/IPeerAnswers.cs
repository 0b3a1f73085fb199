using Relay.Silo.Connectors;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;

namespace Relay.Silo.LocalSnapshots;

/// <summary>
/// What the silos that can be reached know of themselves, without the store: by what they decide, and which connectors are attached to
/// them. Safe for concurrent use; nobody's silence is an answer.
/// </summary>
internal interface IPeerAnswers
{
    /// <summary>By what the peers that answer decide.</summary>
    Task<PeersInForce> VersionsAsync(CancellationToken cancellationToken);

    /// <summary>What a peer decides by; null: it could not tell.</summary>
    Task<SnapshotRows?> RowsAsync(string peer, Guid organizationId, CancellationToken cancellationToken);

    /// <summary>Where connectors are attached, the highest epoch of each.</summary>
    Task<IReadOnlyList<ConnectorLease>> TunnelsAsync(IReadOnlyCollection<Guid> connectorIds, CancellationToken cancellationToken);
}

/// <summary>By what peers decide.</summary>
/// <param name="Versions">The highest version of each organization, and that peer's address. Empty: nobody answered.</param>
/// <param name="RevokedGateways">All that some peer knows of, each as of its latest revocation.</param>
internal sealed record PeersInForce(IReadOnlyDictionary<Guid, (long Version, string Peer)> Versions, IReadOnlyList<RevokedGateway> RevokedGateways);

/// <summary>A silo without peers.</summary>
internal sealed class NoPeerAnswers : IPeerAnswers
{
    public Task<PeersInForce> VersionsAsync(CancellationToken cancellationToken) =>
        Task.FromResult(new PeersInForce(new Dictionary<Guid, (long Version, string Peer)>(), []));

    public Task<SnapshotRows?> RowsAsync(string peer, Guid organizationId, CancellationToken cancellationToken) => Task.FromResult<SnapshotRows?>(null);

    public Task<IReadOnlyList<ConnectorLease>> TunnelsAsync(IReadOnlyCollection<Guid> connectorIds, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<ConnectorLease>>([]);
}
