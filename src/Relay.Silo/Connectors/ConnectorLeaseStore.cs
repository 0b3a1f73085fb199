using Dapper;
using Npgsql;
using Relay.Silo.Hosting;

namespace Relay.Silo.Connectors;

/// <summary>
/// One active connection per connector: one row, one conditional upsert. No lock is held, no clock is compared, the database's
/// included, and nothing here depends on a grain. A lease ends when its holder gives it up, or when somebody has proved that it is
/// not served any more and takes this very epoch (<see cref="Takeover"/>). Safe for concurrent use; every method throws
/// NpgsqlException when the store cannot be asked.
/// </summary>
internal sealed class ConnectorLeaseStore
{
    /// <summary>A lease that is not renewed ends after this. The holder closes its tunnel before, by its own monotonic clock; who waits for its end measures it by theirs.</summary>
    public static readonly TimeSpan HardTtl = TimeSpan.FromMinutes(15);

    /// <summary>By how much the holder is earlier: far more than two clocks can drift apart in that time.</summary>
    public static readonly TimeSpan SafetyMargin = TimeSpan.FromSeconds(30);

    // 27 bytes of answer each. A statement whose answer does not fit into the sockets' buffers ends, and gives its rows back, only when
    // it is read: not while its silo is frozen, and whoever was attached there could not attach elsewhere.
    private const int MaxRenewedAtOnce = 1000;

    // Given up: not a time, so that no clock can make it so.
    private const string Released = "'-infinity'";

    // A store restored from a backup may know a lower epoch than agents have seen; what an agent claims counts, but a
    // hostile one must not be able to use the numbers up.
    private const int MaxEpochClaim = 1000;

    private const string Columns = $"""
        connector_id, epoch, silo, silo_incarnation, agent_instance, agent_address, attached_at, expires_at::text AS renewal,
        expires_at > {Released} AND NOT EXISTS (SELECT 1 FROM silo_fence f WHERE f.incarnation = silo_incarnation AND f.fenced_at IS NOT NULL) AS live,
        expires_at = {Released} AS released, attempt, attempt_of
        """;

    private readonly NpgsqlDataSource _database;
    private readonly SiloIdentity _silo;

    public ConnectorLeaseStore(NpgsqlDataSource database, SiloIdentity silo)
    {
        _database = database;
        _silo = silo;
    }

    /// <summary>
    /// Takes the lease when nobody holds it, when the holder is the same agent instance (it may re-attach anywhere at once), or when it
    /// is still of the epoch that <paramref name="overtakes"/>. The winner's epoch is higher than any before. Null outcome on both
    /// sides cannot happen: the loser is told the holder.
    /// </summary>
    /// <param name="highestEpoch">The highest epoch the agent says it has seen.</param>
    /// <param name="attempt">The instance's number of this attach: nothing is won when a later one of the same instance was executed before. Null: it does not count.</param>
    /// <param name="overtakes">An epoch that is proved not to be served any more; null: none is.</param>
    public async Task<LeaseOutcome> AttachAsync(
        Guid connectorId, Guid agentInstance, string agentAddress, long highestEpoch, long? attempt, TimeSpan ttl, long? overtakes, CancellationToken cancellationToken)
    {
        const string Upsert = $"""
            INSERT INTO connector_lease AS l (connector_id, epoch, silo, silo_incarnation, agent_instance, agent_address, attached_at, expires_at, attempt, attempt_of)
            VALUES (@connectorId, least(@highestEpoch, @maxClaim) + 1, @silo, @incarnation, @agentInstance, @agentAddress, clock_timestamp(), clock_timestamp() + @ttl, @attempt, @attemptOf)
            ON CONFLICT (connector_id) DO UPDATE SET
              epoch = greatest(l.epoch, least(@highestEpoch, l.epoch + @maxClaim)) + 1,
              silo = excluded.silo, silo_incarnation = excluded.silo_incarnation, agent_instance = excluded.agent_instance,
              agent_address = excluded.agent_address, attached_at = clock_timestamp(), expires_at = clock_timestamp() + @ttl,
              attempt = excluded.attempt, attempt_of = excluded.attempt_of
            WHERE (l.expires_at = {Released} OR l.agent_instance = excluded.agent_instance OR l.epoch = @overtakes)
              AND NOT (l.attempt_of = excluded.attempt_of AND l.attempt >= excluded.attempt) IS TRUE
            RETURNING {Columns}
            """;
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        while (true)
        {
            var won = await connection.QuerySingleOrDefaultAsync<LeaseRow>(new CommandDefinition(
                Upsert,
                new
                {
                    connectorId,
                    highestEpoch = Math.Max(0, highestEpoch),
                    maxClaim = (long)MaxEpochClaim,
                    silo = _silo.Address,
                    incarnation = _silo.Incarnation,
                    agentInstance,
                    agentAddress,
                    ttl,
                    overtakes = overtakes ?? -1,
                    attempt = attempt ?? 0,
                    attemptOf = attempt is null ? (Guid?)null : agentInstance,
                },
                cancellationToken: cancellationToken));
            if (won is not null)
                return new(won.ToLease(), null);
            if (await RowAsync(connection, connectorId, cancellationToken) is { } holder && (!holder.Released || (holder.AttemptOf == agentInstance && holder.Attempt >= attempt)))
                return new(null, holder.ToLease());

            // Released between the two statements: take it.
        }
    }

    /// <summary>Renews many leases, a thousand with one statement; what comes back is still ours. A missing one was taken over or released.</summary>
    public Task<IReadOnlySet<Guid>> RenewAsync(IReadOnlyCollection<(Guid ConnectorId, long Epoch)> leases, TimeSpan ttl, CancellationToken cancellationToken) =>
        RenewAsync(_silo.Incarnation, leases, ttl, cancellationToken);

    /// <summary>As the other one, for a silo that has asked for it: only what that silo holds.</summary>
    public async Task<IReadOnlySet<Guid>> RenewAsync(Guid holder, IReadOnlyCollection<(Guid ConnectorId, long Epoch)> leases, TimeSpan ttl, CancellationToken cancellationToken)
    {
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        var held = new HashSet<Guid>();
        foreach (var part in leases.Chunk(MaxRenewedAtOnce))
        {
            held.UnionWith(await connection.QueryAsync<Guid>(new CommandDefinition(
                $"""
                UPDATE connector_lease l SET expires_at = clock_timestamp() + @ttl
                FROM unnest(@ids, @epochs) AS mine (connector_id, epoch)
                WHERE l.connector_id = mine.connector_id AND l.epoch = mine.epoch AND l.silo_incarnation = @holder
                  AND l.expires_at > {Released}
                RETURNING l.connector_id
                """,
                new { ids = part.Select(l => l.ConnectorId).ToArray(), epochs = part.Select(l => l.Epoch).ToArray(), ttl, holder },
                cancellationToken: cancellationToken)));
        }

        return held;
    }

    /// <summary>Gives a lease up, if it is still of this epoch: the row stays and keeps the epoch. False: it was somebody else's already.</summary>
    public async Task<bool> ReleaseAsync(Guid connectorId, long epoch, CancellationToken cancellationToken)
    {
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        return await connection.ExecuteAsync(new CommandDefinition(
            $"UPDATE connector_lease SET expires_at = {Released} WHERE connector_id = @connectorId AND epoch = @epoch",
            new { connectorId, epoch },
            cancellationToken: cancellationToken)) > 0;
    }

    /// <summary>The row, live or not; null: never attached.</summary>
    public async Task<ConnectorLease?> ReadAsync(Guid connectorId, CancellationToken cancellationToken)
    {
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        return (await RowAsync(connection, connectorId, cancellationToken))?.ToLease();
    }

    /// <summary>Leases that were not given up and, by the database's clock, not renewed for a while: to be watched. At most 10,000.</summary>
    public async Task<IReadOnlyList<ConnectorLease>> ReadStaleAsync(TimeSpan notRenewedFor, CancellationToken cancellationToken)
    {
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        var rows = await connection.QueryAsync<LeaseRow>(new CommandDefinition(
            $"SELECT {Columns} FROM connector_lease WHERE expires_at > {Released} AND expires_at < clock_timestamp() + @left LIMIT 10000",
            new { left = HardTtl - notRenewedFor },
            cancellationToken: cancellationToken));
        return [.. rows.Select(r => r.ToLease())];
    }

    /// <summary>The live leases among these connectors.</summary>
    public async Task<IReadOnlyList<ConnectorLease>> ReadLiveAsync(IReadOnlyCollection<Guid> connectorIds, CancellationToken cancellationToken)
    {
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        var rows = await connection.QueryAsync<LeaseRow>(new CommandDefinition(
            $"SELECT {Columns} FROM connector_lease WHERE connector_id = ANY (@ids) AND expires_at > {Released}",
            new { ids = connectorIds.ToArray() },
            cancellationToken: cancellationToken));
        return [.. rows.Where(r => r.Live).Select(r => r.ToLease())];
    }

    private static Task<LeaseRow?> RowAsync(NpgsqlConnection connection, Guid connectorId, CancellationToken cancellationToken) =>
        connection.QuerySingleOrDefaultAsync<LeaseRow>(new CommandDefinition(
            $"SELECT {Columns} FROM connector_lease WHERE connector_id = @connectorId",
            new { connectorId },
            cancellationToken: cancellationToken));

    /// <summary>The row as Dapper fills it.</summary>
    private sealed class LeaseRow
    {
        public Guid ConnectorId { get; init; }

        public long Epoch { get; init; }

        public string Silo { get; init; } = "";

        public Guid SiloIncarnation { get; init; }

        public Guid AgentInstance { get; init; }

        public string AgentAddress { get; init; } = "";

        public DateTimeOffset AttachedAt { get; init; }

        public bool Live { get; init; }

        public bool Released { get; init; }

        public long Attempt { get; init; }

        public Guid? AttemptOf { get; init; }

        public string Renewal { get; init; } = "";

        public ConnectorLease ToLease() => new(ConnectorId, Epoch, Silo, SiloIncarnation, AgentInstance, AgentAddress, AttachedAt, Live, Renewal);
    }
}
