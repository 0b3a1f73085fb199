using Npgsql;
using Relay.Silo.Storage;

namespace Relay.Silo.History;

/// <summary>
/// Where facts go: straight into the store while it answers and the spool is empty, otherwise into the spool. As long as anything is in
/// the spool everything goes there, so that what is written after something else also arrives after it. Safe for concurrent use.
/// </summary>
internal sealed class HistoryLog(NpgsqlDataSource database, StoreHealth health, FactTable table, Spool.Spool spool, TimeProvider time)
{
    /// <summary>False: facts are spooled now.</summary>
    public bool IsDirect => health.Reachable && spool.IsEmpty;

    /// <summary>Why a session that must be recorded cannot begin now; null: it can.</summary>
    public string? Refusal => IsDirect ? null : spool.Refusal;

    /// <summary>When this returns the fact is safe: in the store, or on this silo's disk.</summary>
    /// <returns>What the store said; a spooled fact is <see cref="FactResult.Written"/>, and what the store says to it is logged when it is delivered.</returns>
    /// <exception cref="Spool.SpoolFullException">It is not safe, and there is no place for it.</exception>
    public async Task<FactResult> WriteAsync(Fact fact, CancellationToken cancellationToken)
    {
        var happened = fact.At ?? time.GetUtcNow();
        if (IsDirect)
        {
            try
            {
                return await health.RunAsync(cancellation => ApplyAsync(fact, cancellation), cancellationToken);
            }
            catch (StoreUnavailableException)
            {
                // Whether it was applied is not known; that it has an id makes up for it.
            }
        }

        // What happens while the store is away happens when this silo says so: when it came, not when the store was given up.
        await spool.AppendAsync((fact with { At = happened }).ToPayload(), bulk: fact is ChunkRecorded);
        return FactResult.Written;
    }

    private async Task<FactResult> ApplyAsync(Fact fact, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await table.ApplyAsync(connection, null, fact, cancellationToken);
    }
}
