using Dapper;
using Npgsql;

namespace Relay.Silo.Fencing;

/// <summary>The table silo_fence. Safe for concurrent use; throws NpgsqlException when the store cannot be asked.</summary>
internal sealed class FenceStore(NpgsqlDataSource database)
{
    private const int MaxRows = 256;

    /// <summary>This silo has started. Rows that nobody can need any more go.</summary>
    public async Task StartAsync(Voter self, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.ExecuteAsync(new CommandDefinition(
            """
            DELETE FROM silo_fence f
            WHERE fenced_at < now() - interval '7 days' AND NOT EXISTS (SELECT 1 FROM connector_lease l WHERE l.silo_incarnation = f.incarnation);
            INSERT INTO silo_fence (incarnation, address) VALUES (@Incarnation, @Address) ON CONFLICT DO NOTHING
            """,
            new { self.Incarnation, self.Address },
            cancellationToken: cancellationToken));
    }

    /// <summary>
    /// Writes the voters this silo means to count; they count when this comes back true, and not when it throws. False: the silo is
    /// fenced, or a later write was quicker.
    /// </summary>
    /// <param name="seq">Higher at every try, also at one that repeats a failed one.</param>
    /// <param name="former">What it counts until then.</param>
    public async Task<bool> AdoptAsync(Guid incarnation, long seq, IEnumerable<Voter> voters, IEnumerable<Voter> former, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.ExecuteAsync(new CommandDefinition(
            "UPDATE silo_fence SET voters = @voters, former_voters = @former, seq = @seq WHERE incarnation = @incarnation AND fenced_at IS NULL AND seq < @seq",
            new { incarnation, seq, voters = voters.Select(v => v.ToString()).ToArray(), former = former.Select(v => v.ToString()).ToArray() },
            cancellationToken: cancellationToken)) > 0;
    }

    /// <summary>Who is fenced, of the last day; and whether <paramref name="self"/> may go on: its row is there and not fenced.</summary>
    public async Task<FenceReading> ReadAsync(Guid self, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var rows = (await connection.QueryAsync<Row>(new CommandDefinition(
            """
            SELECT incarnation, voters, former_voters, fenced_at IS NOT NULL AS fenced FROM silo_fence
            WHERE incarnation = @self OR fenced_at > now() - interval '1 day'
            ORDER BY incarnation <> @self, fenced_at DESC LIMIT @MaxRows
            """,
            new { self, MaxRows },
            cancellationToken: cancellationToken))).AsList();
        return new FenceReading(rows.Any(r => r.Incarnation == self && !r.Fenced), [.. rows.Where(r => r.Fenced).Select(r => r.ToFenced())]);
    }

    /// <summary>Whether one silo may go on; for a peer that asks on its behalf.</summary>
    public async Task<bool> IsHeldAsync(Guid incarnation, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            "SELECT EXISTS (SELECT 1 FROM silo_fence WHERE incarnation = @incarnation AND fenced_at IS NULL)", new { incarnation }, cancellationToken: cancellationToken));
    }

    /// <summary>
    /// Fences silos that are dead: from now on the store renews nothing for them. One without a row, of a version that knew no fences,
    /// gets one with a voter that never answers: its leases must lapse.
    /// </summary>
    public async Task<IReadOnlyList<FencedRow>> FenceAsync(IReadOnlyCollection<Voter> dead, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var rows = await connection.QueryAsync<Row>(new CommandDefinition(
            """
            INSERT INTO silo_fence (incarnation, address, voters, fenced_at)
            SELECT incarnation, address, array['unknown ' || incarnation], now() FROM unnest(@incarnations, @addresses) AS dead (incarnation, address)
            ON CONFLICT DO NOTHING;
            UPDATE silo_fence SET fenced_at = now() WHERE incarnation = ANY (@incarnations) AND fenced_at IS NULL;
            SELECT incarnation, voters, former_voters, true AS fenced FROM silo_fence WHERE incarnation = ANY (@incarnations)
            """,
            new { incarnations = dead.Select(v => v.Incarnation).ToArray(), addresses = dead.Select(v => v.Address).ToArray() },
            cancellationToken: cancellationToken));
        return [.. rows.Select(r => r.ToFenced())];
    }

    private sealed class Row
    {
        public Guid Incarnation { get; init; }

        public string[] Voters { get; init; } = [];

        public string[] FormerVoters { get; init; } = [];

        public bool Fenced { get; init; }

        public FencedRow ToFenced() => new(Incarnation, [Parse(Voters), Parse(FormerVoters)]);

        private static IReadOnlyList<Voter> Parse(string[] voters) =>
            [.. voters.Select(text => Voter.TryParse(text, out var voter) ? voter.Value : new Voter(text, Guid.Empty))];
    }
}

/// <summary>A silo that is fenced, and the sets of voters it may still be counting.</summary>
internal sealed record FencedRow(Guid Incarnation, IReadOnlyList<IReadOnlyList<Voter>> Voters);

/// <summary>What the store says about fences.</summary>
/// <param name="Held">The one who asks may go on.</param>
/// <param name="Fenced">Who is fenced.</param>
internal sealed record FenceReading(bool Held, IReadOnlyList<FencedRow> Fenced);
