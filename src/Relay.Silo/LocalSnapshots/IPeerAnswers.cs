using Relay.Silo.Connectors;
using Relay.Silo.Snapshots;

namespace Relay.Silo.LocalSnapshots;

/// <summary>
/// What the silos that can be reached know of themselves, without the store: by what they decide, and which connectors are attached to
/// them. Safe for concurrent use; nobody's silence is an answer.
/// </summary>
internal interface IPeerAnswers
{
    /// <summary>The highest version of each organization that some peer decides by, and that peer's address. Empty: nobody answered.</summary>
    Task<IReadOnlyDictionary<Guid, (long Version, string Peer)>> VersionsAsync(CancellationToken cancellationToken);

    /// <summary>What a peer decides by; null: it could not tell.</summary>
    Task<SnapshotRows?> RowsAsync(string peer, Guid organizationId, CancellationToken cancellationToken);

    /// <summary>Where connectors are attached, the highest epoch of each.</summary>
    Task<IReadOnlyList<ConnectorLease>> TunnelsAsync(IReadOnlyCollection<Guid> connectorIds, CancellationToken cancellationToken);
}

/// <summary>A silo without peers.</summary>
internal sealed class NoPeerAnswers : IPeerAnswers
{
    public Task<IReadOnlyDictionary<Guid, (long Version, string Peer)>> VersionsAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyDictionary<Guid, (long Version, string Peer)>>(new Dictionary<Guid, (long Version, string Peer)>());

    public Task<SnapshotRows?> RowsAsync(string peer, Guid organizationId, CancellationToken cancellationToken) => Task.FromResult<SnapshotRows?>(null);

    public Task<IReadOnlyList<ConnectorLease>> TunnelsAsync(IReadOnlyCollection<Guid> connectorIds, CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<ConnectorLease>>([]);
}
