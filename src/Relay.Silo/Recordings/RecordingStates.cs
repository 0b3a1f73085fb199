using Dapper;
using Npgsql;

namespace Relay.Silo.Recordings;

/// <summary>
/// session.recording_state: 'recording' from the start, 'ready' when the session is over and every recording got its last chunk,
/// 'failed' when one lost its tail (what is there can be replayed all the same). Safe for concurrent use.
/// </summary>
internal sealed class RecordingStates(NpgsqlDataSource database)
{
    /// <summary>A session has ended, or a late last chunk arrived: ready when nothing is open any more.</summary>
    public static Task SettleAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, Guid sessionId, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(new CommandDefinition(
            """
            UPDATE session s SET recording_state = 'ready'
            WHERE s.session_id = @sessionId AND s.end_time IS NOT NULL AND s.recording_state IN ('recording', 'failed')
              AND NOT EXISTS (SELECT 1 FROM recording r WHERE r.session_id = s.session_id AND r.ended_at IS NULL)
            """,
            new { sessionId },
            transaction,
            cancellationToken: cancellationToken));

    /// <summary>A recording began to arrive after its session had ended: there is more to come.</summary>
    public static Task ReopenAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, Guid sessionId, CancellationToken cancellationToken) =>
        connection.ExecuteAsync(new CommandDefinition(
            """
            UPDATE session s SET recording_state = 'recording'
            WHERE s.session_id = @sessionId AND s.recording_state = 'ready'
              AND EXISTS (SELECT 1 FROM recording r WHERE r.session_id = s.session_id AND r.ended_at IS NULL)
            """,
            new { sessionId },
            transaction,
            cancellationToken: cancellationToken));

    /// <summary>Sessions that are over for longer than <see cref="RecordingLimits.TailGrace"/> and still 'recording'. Returns how many failed.</summary>
    public async Task<int> SweepAsync(CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        return await connection.QuerySingleAsync<int>(new CommandDefinition(
            """
            WITH late AS (
              UPDATE session s SET recording_state =
                CASE WHEN EXISTS (SELECT 1 FROM recording r WHERE r.session_id = s.session_id AND r.ended_at IS NULL) THEN 'failed' ELSE 'ready' END
              WHERE s.recording_state = 'recording' AND s.end_time < now() - @grace
              RETURNING recording_state
            )
            SELECT count(*)::int FROM late WHERE recording_state = 'failed'
            """,
            new { grace = RecordingLimits.TailGrace },
            cancellationToken: cancellationToken));
    }
}
