using Dapper;
using Npgsql;
using Relay.Silo.Storage;

namespace Relay.Silo.Snapshots;

/// <summary>Where a version stands in the grid.</summary>
/// <param name="Silos">Silos that are alive.</param>
/// <param name="Confirmed">Those of them that run it, or a later one.</param>
/// <param name="Took">From the commit to the last confirmation so far, by the database's clock; null: not known.</param>
internal readonly record struct Confirmation(int Silos, int Confirmed, TimeSpan? Took)
{
    public bool IsComplete => Confirmed >= Silos;
}

/// <summary>
/// Waits until the silos that live have confirmed a version (<see cref="SnapshotAcks"/>). A silo that was declared dead does not count: its
/// streams are cut with it. One that is merely late, frozen or cut off counts, and is missing from those that confirmed.
/// </summary>
internal sealed class GridConfirmation(NpgsqlDataSource database, DatabaseSignals signals, TimeProvider time)
{
    /// <summary>How long an answer waits for it.</summary>
    public static readonly TimeSpan AtMost = TimeSpan.FromSeconds(2);

    // A notification that got lost costs this.
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(100);

    // Status decides; the sign of life sorts out what nobody was left to declare dead.
    private const string CountedSilos = "status IN ('active', 'shutting_down') AND alive_at > now() - interval '1 minute'";

    /// <summary>Returns when all have confirmed, or what there is after <paramref name="atMost"/> or when the store is lost.</summary>
    public Task<Confirmation> WaitAsync(Guid organizationId, long version, TimeSpan atMost, CancellationToken cancellationToken) => WaitAsync(
        $"""
        SELECT count(*)::int AS silos, count(s.version)::int AS confirmed,
          extract(epoch FROM max(s.acknowledged_at) - (SELECT changed_at FROM organization_version WHERE organization_id = @organizationId AND version = @version))::float8 AS took
        FROM silo_member m LEFT JOIN silo_snapshot s ON s.silo_incarnation = m.incarnation AND s.organization_id = @organizationId AND s.version >= @version
        WHERE m.{CountedSilos}
        """,
        new { organizationId, version },
        atMost,
        cancellationToken);

    /// <summary>The same for orders to end sessions: a silo has confirmed when those of its sessions have ended, streams and row.</summary>
    public Task<Confirmation> WaitForKillsAsync(IReadOnlyList<Guid> sessions, TimeSpan atMost, CancellationToken cancellationToken) => WaitAsync(
        $"""
        SELECT count(*)::int AS silos, count(*) FILTER (WHERE living = 0)::int AS confirmed, max(took) AS took FROM (
          SELECT count(*) FILTER (WHERE s.end_time IS NULL) AS living, extract(epoch FROM max(s.end_time - s.kill_requested_at))::float8 AS took
          FROM session s JOIN silo_member m ON m.incarnation = s.silo_incarnation
          WHERE s.session_id = ANY(@ids) AND m.{CountedSilos}
          GROUP BY m.incarnation) AS silo
        """,
        new { ids = sessions.ToArray() },
        atMost,
        cancellationToken);

    private async Task<Confirmation> WaitAsync(string sql, object parameters, TimeSpan atMost, CancellationToken cancellationToken)
    {
        var wakeup = new Wakeup();
        var seen = default(Confirmation);
        var begin = time.GetTimestamp();
        signals.Acknowledged += wakeup.Set;
        try
        {
            while (true)
            {
                seen = await ReadAsync(sql, parameters, cancellationToken);
                var left = atMost - time.GetElapsedTime(begin);
                if (seen.IsComplete || left <= TimeSpan.Zero)
                    return seen;
                await wakeup.WaitAsync(left < PollInterval ? left : PollInterval, time, cancellationToken);
            }
        }
        catch (Exception e) when (StoreErrors.IsOutage(e))
        {
            // The write is committed; who has confirmed it cannot be asked any more.
            return seen;
        }
        finally
        {
            signals.Acknowledged -= wakeup.Set;
        }
    }

    private async Task<Confirmation> ReadAsync(string sql, object parameters, CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var (silos, confirmed, took) = await connection.QuerySingleAsync<(int, int, double?)>(new CommandDefinition(sql, parameters, cancellationToken: cancellationToken));
        return new Confirmation(silos, confirmed, took is { } seconds ? TimeSpan.FromSeconds(seconds) : null);
    }
}
