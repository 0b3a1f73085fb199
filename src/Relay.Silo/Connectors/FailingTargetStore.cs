using Dapper;
using Npgsql;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Connectors;

/// <summary>Which targets connectors do not reach, shared by all silos. Safe for concurrent use; throws NpgsqlException.</summary>
internal sealed class FailingTargetStore(NpgsqlDataSource database)
{
    /// <summary>Writes what was learnt (null: it works again), tells the other silos, and reads what all know.</summary>
    public async Task<IReadOnlyList<FailingTarget>> ExchangeAsync(IReadOnlyDictionary<(Guid Connector, string Target), FailingTarget?> learnt, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        if (learnt.Count > 0)
        {
            var failing = learnt.Values.OfType<FailingTarget>().ToArray();
            var working = learnt.Where(p => p.Value is null).Select(p => p.Key).ToArray();
            await connection.ExecuteAsync(new CommandDefinition(
                $"""
                DELETE FROM failing_target f USING unnest(@workingConnectors, @workingTargets) AS w (connector_id, target)
                WHERE f.connector_id = w.connector_id AND f.target = w.target;
                INSERT INTO failing_target (connector_id, target, reason)
                SELECT n.connector_id, n.target, n.reason FROM unnest(@connectors, @targets, @reasons) AS n (connector_id, target, reason) JOIN connector c USING (connector_id)
                ON CONFLICT (connector_id, target) DO UPDATE SET reason = excluded.reason;
                SELECT pg_notify('{DatabaseSignals.TargetsChannel}', '');
                """,
                new
                {
                    workingConnectors = working.Select(w => w.Connector).ToArray(),
                    workingTargets = working.Select(w => w.Target).ToArray(),
                    connectors = failing.Select(f => f.ConnectorId).ToArray(),
                    targets = failing.Select(f => f.Target).ToArray(),
                    reasons = failing.Select(f => f.Reason).ToArray(),
                },
                cancellationToken: cancellationToken));
        }

        return (await connection.QueryAsync<FailingTarget>(new CommandDefinition("SELECT connector_id, target, reason FROM failing_target", cancellationToken: cancellationToken))).AsList();
    }
}
