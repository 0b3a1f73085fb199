using Dapper;
using Npgsql;
using Relay.Silo.Hosting;

namespace Relay.Silo.Snapshots;

/// <summary>Where silos say which version they run. Safe for concurrent use.</summary>
internal interface ISnapshotAckStore
{
    /// <summary>This silo runs <paramref name="version"/>, and nothing flows here that lost its right by it.</summary>
    /// <param name="since">The version it ran before.</param>
    /// <returns>By the database's clock, how long ago the oldest change between the two was written; null: not known.</returns>
    Task<TimeSpan?> WriteAsync(Guid organizationId, long since, long version, CancellationToken cancellationToken);

    /// <summary>Forgets silos that are gone for good.</summary>
    Task SweepAsync(CancellationToken cancellationToken);
}

/// <summary>Directly, or through a peer while only this silo's way to the store is cut.</summary>
internal sealed class OwnSnapshotAcks(SnapshotAckStore store, IStoreThroughPeer peers, SiloIdentity self) : ISnapshotAckStore
{
    public Task<TimeSpan?> WriteAsync(Guid organizationId, long since, long version, CancellationToken cancellationToken) => peers.IsNeeded
        ? peers.AcknowledgeAsync(organizationId, since, version, cancellationToken)
        : store.WriteAsync(self.Incarnation, organizationId, since, version, cancellationToken);

    public Task SweepAsync(CancellationToken cancellationToken) => store.SweepAsync(cancellationToken);
}

/// <summary>The table. Safe for concurrent use.</summary>
internal sealed class SnapshotAckStore(NpgsqlDataSource database)
{
    /// <summary>As <see cref="ISnapshotAckStore.WriteAsync"/>.</summary>
    /// <param name="incarnation">Whose acknowledgement it is; another silo's when that one cannot reach the store itself.</param>
    public async Task<TimeSpan?> WriteAsync(Guid incarnation, Guid organizationId, long since, long version, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var seconds = await connection.QuerySingleOrDefaultAsync<double?>(new CommandDefinition(
            $"""
            WITH written AS (
              INSERT INTO silo_snapshot AS s (silo_incarnation, organization_id, version)
              SELECT @incarnation, organization_id, @version FROM organization WHERE organization_id = @organizationId
              ON CONFLICT (silo_incarnation, organization_id) DO UPDATE SET version = excluded.version, acknowledged_at = clock_timestamp()
              RETURNING acknowledged_at
            ), told AS (
              SELECT pg_notify('{DatabaseSignals.AcknowledgedChannel}', @organizationId::text)
            )
            SELECT extract(epoch FROM acknowledged_at - (
              SELECT min(changed_at) FROM organization_version WHERE organization_id = @organizationId AND version > @since AND version <= @version))::float8
            FROM written, told
            """,
            new { incarnation, organizationId, since, version },
            cancellationToken: cancellationToken));
        return seconds is { } age ? TimeSpan.FromSeconds(age) : null;
    }

    /// <summary>Forgets silos that are gone for good.</summary>
    public async Task SweepAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.ExecuteAsync(new CommandDefinition(
            "DELETE FROM silo_snapshot s WHERE NOT EXISTS (SELECT 1 FROM silo_member m WHERE m.incarnation = s.silo_incarnation AND m.status <> 'dead')",
            cancellationToken: cancellationToken));
    }
}
