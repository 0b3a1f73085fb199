using Npgsql;
using Relay.Silo.Storage;

namespace Relay.Silo.History;

/// <summary>
/// Where facts go: straight into the store while it answers and the spool is empty, otherwise into the spool. As long as anything is in
/// the spool everything goes there, so that what is written after something else also arrives after it. What a gateway reports of a
/// session whose beginning is in the spool of a silo that has died waits for it (<see cref="ParkedFacts"/>). Safe for concurrent use.
/// </summary>
internal sealed class HistoryLog(NpgsqlDataSource database, StoreHealth health, FactTable table, Spool.Spool spool, ParkedFacts parked, TimeProvider time)
{
    /// <summary>False: facts are spooled now.</summary>
    public bool IsDirect => health.Reachable && spool.IsEmpty;

    /// <summary>Why a session that must be recorded cannot begin now; null: it can.</summary>
    public string? Refusal => IsDirect ? null : spool.Refusal;

    /// <summary>When this returns the fact is safe: in the store, or on this silo's disk.</summary>
    /// <returns>What the store said; a spooled or parked fact is <see cref="FactResult.Written"/>, and what the store says to it is logged when it is delivered.</returns>
    /// <exception cref="Spool.SpoolFullException">It is not safe, and there is no place for it.</exception>
    public async Task<FactResult> WriteAsync(Fact fact, CancellationToken cancellationToken)
    {
        var happened = fact.At ?? time.GetUtcNow();
        if (IsDirect)
        {
            try
            {
                var result = await health.RunAsync(cancellation => ApplyAsync(fact, cancellation), cancellationToken);
                if (result == FactResult.NoSession && fact is ChunkRecorded or EventHappened)
                    return await AwaitBeginningAsync(fact with { At = happened }, cancellationToken);
                if (result == FactResult.Gap)
                    parked.Try();
                return result;
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

    /// <summary>
    /// What a gateway says of a session that the store has never heard of: its beginning is in the spool of a silo that has died, and
    /// comes with it.
    /// </summary>
    /// <returns><see cref="FactResult.Written"/>: it waits on this silo's disk. Otherwise what the store says, which knows the session.</returns>
    /// <exception cref="Spool.SpoolFullException">It is not safe, and there is no place for it.</exception>
    public async Task<FactResult> AwaitBeginningAsync(Fact fact, CancellationToken cancellationToken)
    {
        var happened = fact with { At = fact.At ?? time.GetUtcNow() };
        try
        {
            if (await health.RunAsync(cancellation => ApplyToKnownAsync(happened, cancellation), cancellationToken) is { } result)
                return result;
        }
        catch (StoreUnavailableException)
        {
            // Asked again when it is tried.
        }

        // As part of a recording: gateways must not take the place of what the spool's own delivery parks.
        await parked.KeepAsync(happened.ToPayload(), bulk: true);
        return FactResult.Written;
    }

    private async Task<FactResult> ApplyAsync(Fact fact, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await table.ApplyAsync(connection, null, fact, cancellationToken);
    }

    // Null: it is not known.
    private async Task<FactResult?> ApplyToKnownAsync(Fact fact, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        if (!await FactTable.KnowsAsync(connection, null, fact.SessionId, cancellationToken))
            return null;
        // An end that another silo has yet to write, and knows better, must not be anticipated.
        return fact is SessionLeft ? FactResult.NoSession : await table.ApplyAsync(connection, null, fact, cancellationToken);
    }
}
