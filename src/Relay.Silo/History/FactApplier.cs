using Npgsql;
using Relay.Silo.Storage;

namespace Relay.Silo.History;

/// <summary>What is to become of a spooled fact.</summary>
internal enum FactFate
{
    /// <summary>The store does not take it yet.</summary>
    Later = 0,

    /// <summary>It is in the store.</summary>
    Done,

    /// <summary>The store will never take it.</summary>
    Never,
}

/// <summary>Applies spooled facts, several in one transaction or one by itself. Safe for concurrent use.</summary>
internal sealed class FactApplier(NpgsqlDataSource database, StoreHealth health, FactTable table)
{
    /// <summary>All of them in one transaction.</summary>
    /// <returns>What became of each, in order.</returns>
    /// <exception cref="StoreUnavailableException">None of them, as far as is known.</exception>
    /// <exception cref="PostgresException">The store refuses one of them, and so none is applied.</exception>
    public Task<IReadOnlyList<FactFate>> ApplyAsync(IReadOnlyList<Fact> facts, CancellationToken cancellationToken) => health.RunAsync<IReadOnlyList<FactFate>>(async cancellation =>
    {
        var fates = new List<FactFate>(facts.Count);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginBoundedAsync(BoundedTransaction.Patience, cancellation);
        foreach (var fact in facts)
            fates.Add(await FateAsync(connection, transaction, fact, cancellation));
        await transaction.CommitAsync(cancellation);
        return fates;
    }, cancellationToken);

    /// <summary>One by itself; what the store refuses by an error is kept for later, when this or the store may be of another version.</summary>
    /// <exception cref="StoreUnavailableException">It was not applied, as far as is known.</exception>
    public async Task<FactFate> ApplyAloneAsync(Fact fact, CancellationToken cancellationToken)
    {
        try
        {
            return (await ApplyAsync([fact], cancellationToken))[0];
        }
        catch (PostgresException e) when (!e.IsTransient)
        {
            return FactFate.Later;
        }
    }

    private async Task<FactFate> FateAsync(NpgsqlConnection connection, NpgsqlTransaction transaction, Fact fact, CancellationToken cancellationToken)
    {
        var known = false;
        while (true)
        {
            var result = await table.ApplyAsync(connection, transaction, fact, cancellationToken);
            if (result == FactResult.Written)
                return FactFate.Done;
            if (result == FactResult.Gap)
                return FactFate.Later;
            // A session that is there and refuses, refuses; but it must have been there when it was asked: another silo may just have brought it.
            if (known)
                return FactFate.Never;
            known = await FactTable.KnowsAsync(connection, transaction, fact.SessionId, cancellationToken);
            if (!known)
                return FactFate.Later;
        }
    }
}
