using Dapper;
using Npgsql;
using Relay.GrainHost.Membership;
using Relay.Silo.Storage;

namespace Relay.Silo.GrainHosting;

/// <summary>
/// The grain host's membership in the table silo_member. The version is the sequence membership_version: a sequence does not
/// follow transactions, so every reader and writer holds one advisory lock (shared, exclusive) that makes version and rows
/// one. A version that a failed write has used up is skipped, which harms nobody. Safe for concurrent use.
/// </summary>
internal sealed class MembershipTable(NpgsqlDataSource database) : IMembershipTable
{
    /// <summary>Of pg_advisory locks: "relaymbr" as a number, apart from the migrations' lock.</summary>
    internal const long LockKey = 0x72656c61796d6272;

    /// <summary>A silo that is frozen while it holds the lock would keep the others from declaring it dead.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);

    private const string Columns =
        "address, incarnation, status, name, region, connector_address, version, started_at, alive_at";

    /// <inheritdoc/>
    public async Task<MembershipSnapshot> ReadAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginBoundedAsync(s_patience, cancellationToken);
        await connection.ExecuteAsync(Command("SELECT pg_advisory_xact_lock_shared(@LockKey)", transaction, new { LockKey }, cancellationToken));
        var (version, readAt) = await connection.QuerySingleAsync<(long, DateTime)>(Command($"SELECT {Version}, clock_timestamp()", transaction, null, cancellationToken));
        var rows = await connection.QueryAsync<Row>(Command($"SELECT {Columns} FROM silo_member", transaction, null, cancellationToken));
        await transaction.CommitAsync(cancellationToken);
        return new MembershipSnapshot(version, AsUtc(readAt), [.. rows.Select(row => row.ToMember())]);
    }

    /// <inheritdoc/>
    public Task<bool> TryInsertAsync(SiloMember member, long expectedVersion, CancellationToken cancellationToken) => TryWriteAsync(
        $"""
        DELETE FROM silo_member WHERE status = 'dead' AND alive_at < now() - interval '1 day';
        UPDATE silo_member SET status = 'dead' WHERE address = @Address AND status <> 'dead';
        INSERT INTO silo_member (address, incarnation, status, name, region, connector_address, version)
        VALUES (@Address, @Incarnation, @Status, @Name, @Region, @ConnectorAddress, @Version)
        ON CONFLICT DO NOTHING;
        """,
        new { member.Address, member.Incarnation, Status = ToText(member.Status), member.Name, member.Region, member.ConnectorAddress, member.Version },
        $"SELECT NOT EXISTS (SELECT 1 FROM silo_member WHERE address = @Address AND incarnation = @Incarnation)",
        expectedVersion,
        cancellationToken);

    /// <inheritdoc/>
    public Task<bool> TrySetStatusAsync(string address, Guid incarnation, MemberStatus status, long expectedVersion, CancellationToken cancellationToken) => TryWriteAsync(
        "UPDATE silo_member SET status = @Status WHERE address = @Address AND incarnation = @Incarnation",
        new { Address = address, Incarnation = incarnation, Status = ToText(status) },
        "SELECT EXISTS (SELECT 1 FROM silo_member WHERE address = @Address AND incarnation = @Incarnation)",
        expectedVersion,
        cancellationToken);

    /// <inheritdoc/>
    public async Task HeartbeatAsync(string address, Guid incarnation, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await connection.ExecuteAsync(Command(
            "UPDATE silo_member SET alive_at = clock_timestamp() WHERE address = @Address AND incarnation = @Incarnation",
            null,
            new { Address = address, Incarnation = incarnation },
            cancellationToken));
    }

    /// <summary>An unused sequence says 1 as a used one does; the table's version is 0 before the first write.</summary>
    private const string Version = "(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM membership_version)";

    private async Task<bool> TryWriteAsync(string write, object parameters, string condition, long expectedVersion, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginBoundedAsync(s_patience, cancellationToken);
        await connection.ExecuteAsync(Command("SELECT pg_advisory_xact_lock(@LockKey)", transaction, new { LockKey }, cancellationToken));
        var version = await connection.ExecuteScalarAsync<long>(Command($"SELECT {Version}", transaction, null, cancellationToken));
        if (version != expectedVersion || !await connection.ExecuteScalarAsync<bool>(Command(condition, transaction, parameters, cancellationToken))) return false;
        await connection.ExecuteAsync(Command(write, transaction, parameters, cancellationToken));
        await connection.ExecuteAsync(Command("SELECT nextval('membership_version')", transaction, null, cancellationToken));
        await transaction.CommitAsync(cancellationToken);
        return true;
    }

    private static CommandDefinition Command(string sql, NpgsqlTransaction? transaction, object? parameters, CancellationToken cancellationToken) =>
        new(sql, parameters, transaction, cancellationToken: cancellationToken);

    private static DateTimeOffset AsUtc(DateTime time) => new(DateTime.SpecifyKind(time, DateTimeKind.Utc));

    private static string ToText(MemberStatus status) => status switch
    {
        MemberStatus.Joining => "joining",
        MemberStatus.Active => "active",
        MemberStatus.ShuttingDown => "shutting_down",
        _ => "dead",
    };

    private static MemberStatus ToStatus(string text) => text switch
    {
        "joining" => MemberStatus.Joining,
        "active" => MemberStatus.Active,
        "shutting_down" => MemberStatus.ShuttingDown,
        _ => MemberStatus.Dead,
    };

    private sealed class Row
    {
        public string Address { get; init; } = "";

        public Guid Incarnation { get; init; }

        public string Status { get; init; } = "";

        public string Name { get; init; } = "";

        public string Region { get; init; } = "";

        public string ConnectorAddress { get; init; } = "";

        public string Version { get; init; } = "";

        public DateTime StartedAt { get; init; }

        public DateTime AliveAt { get; init; }

        public SiloMember ToMember() => new(
            Address, Incarnation, ToStatus(Status), Name, Region, ConnectorAddress, Version, AsUtc(StartedAt), AsUtc(AliveAt));
    }
}
