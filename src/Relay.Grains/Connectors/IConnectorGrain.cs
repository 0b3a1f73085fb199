using Orleans;
using Orleans.Concurrency;

namespace Relay.Grains.Connectors;

/// <summary>
/// Knows which silo holds a connector's connection. Key: the connector's id ("D" form). It is a hint, never the proof:
/// the lease row and its epoch decide, and whoever dials must be ready to be refused and to ask the table.
/// </summary>
[Alias("relay.connector")]
public interface IConnectorGrain : IGrainWithStringKey
{
    /// <summary>The silo that won the lease reports its connection. Ignored when a higher epoch is known. Idempotent.</summary>
    /// <returns>The highest epoch known after the call.</returns>
    [Alias("attached")]
    [ResponseTimeout("00:00:03")]
    Task<long> AttachedAsync(ConnectorAttachment attachment, CancellationToken cancellationToken);

    /// <summary>The connection of <paramref name="epoch"/> is gone. Ignored when a higher epoch is known. Idempotent.</summary>
    [Alias("detached")]
    [ResponseTimeout("00:00:03")]
    Task DetachedAsync(long epoch, CancellationToken cancellationToken);

    /// <summary>Where the connection was last seen; null when nobody is known to hold it.</summary>
    [Alias("locate")]
    [AlwaysInterleave]
    [ResponseTimeout("00:00:03")]
    Task<ConnectorAttachment?> LocateAsync(CancellationToken cancellationToken);
}
