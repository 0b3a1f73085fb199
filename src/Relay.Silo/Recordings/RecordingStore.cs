using System.Collections.Concurrent;
using System.Security.Cryptography;
using Dapper;
using Npgsql;
using Relay.Silo.History;
using Relay.Silo.Secrets;

namespace Relay.Silo.Recordings;

/// <summary>Where recordings live: sealed chunks in the database, a key per recording. Safe for concurrent use.</summary>
internal sealed class RecordingStore(SecretVault vault)
{
    // The key of a recording that is being written is needed every second: kept (sealed chunks, not the key, would be the leak of a dump).
    private const int MaxCachedKeys = 10_000;
    private readonly ConcurrentDictionary<(Guid, int), byte[]> _keys = new();

    /// <summary>Writes one chunk. Idempotent by (session, recording, sequence); the first content stays.</summary>
    public async Task<FactResult> ApplyAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, ChunkRecorded chunk, CancellationToken cancellationToken)
    {
        var (sessionId, recording, sequence, last) = (chunk.SessionId, chunk.Recording, chunk.Sequence, chunk.Last);
        var mine = await connection.QuerySingleOrDefaultAsync<bool?>(new CommandDefinition(
            """
            SELECT end_time IS NOT NULL FROM session
            WHERE session_id = @SessionId AND gateway = @Gateway AND recording_state <> 'disabled' AND (end_time IS NULL OR end_time > coalesce(@At, now()) - @late)
            """,
            new { chunk.SessionId, chunk.Gateway, chunk.At, late = RecordingLimits.LateDelivery },
            transaction,
            cancellationToken: cancellationToken));
        if (mine is not { } sessionIsOver)
            return FactResult.NoSession;

        if (await KeyAsync(connection, transaction, chunk, cancellationToken) is not { } key)
            return FactResult.Gap;
        byte[] data;
        using (var cipher = new RecordingCipher((byte[])key.Clone(), sessionId, recording))
            data = cipher.Seal(sequence, last, chunk.Gzip.Span);

        // One statement decides: the next number is stored once, an earlier one is left as it is.
        var head = await connection.QuerySingleOrDefaultAsync<(int Next, bool Ended, int Stored)?>(new CommandDefinition(
            """
            WITH head AS (
              SELECT coalesce((SELECT max(seq) + 1 FROM recording_chunk WHERE session_id = @sessionId AND recording_no = @recording), 0) AS next,
                ended_at IS NOT NULL AS ended
              FROM recording WHERE session_id = @sessionId AND recording_no = @recording
            ), stored AS (
              INSERT INTO recording_chunk (session_id, recording_no, seq, data)
              SELECT @sessionId, @recording, @sequence, @data FROM head WHERE next = @sequence AND NOT ended
              ON CONFLICT DO NOTHING RETURNING seq
            ), finished AS (
              UPDATE recording SET ended_at = coalesce(@At, now()) WHERE session_id = @sessionId AND recording_no = @recording AND @last AND EXISTS (SELECT 1 FROM stored)
            )
            SELECT next, ended, (SELECT count(*)::int FROM stored) FROM head
            """,
            new { sessionId, recording, sequence, data, last, chunk.At },
            transaction,
            cancellationToken: cancellationToken));
        if (head is not { } next)
        {
            // The key was known and its row is gone: a failover has lost the last commits.
            _keys.TryRemove((sessionId, recording), out _);
            return FactResult.Gap;
        }

        if (next.Stored == 0)
            return sequence < next.Next ? FactResult.Written : next.Ended ? FactResult.Ended : sequence == next.Next ? FactResult.Written : FactResult.Gap;
        if (last)
        {
            _keys.TryRemove((sessionId, recording), out _);
            // Whatever was true when this chunk came: of the session's end and its last chunk, the later one sees the other.
            await RecordingStates.SettleAsync(connection, transaction, sessionId, cancellationToken);
        }
        else if (sessionIsOver && sequence == 0)
        {
            await RecordingStates.ReopenAsync(connection, transaction, sessionId, cancellationToken);
        }

        return FactResult.Written;
    }

    // Null: the recording does not exist, and only chunk 0 makes one.
    private async Task<byte[]?> KeyAsync(NpgsqlConnection connection, NpgsqlTransaction? transaction, ChunkRecorded chunk, CancellationToken cancellationToken)
    {
        var (sessionId, recording) = (chunk.SessionId, chunk.Recording);
        if (_keys.TryGetValue((sessionId, recording), out var cached))
            return cached;
        var place = SecretPlace.RecordingKey(sessionId, recording);
        if (chunk.Sequence == 0)
        {
            var fresh = RandomNumberGenerator.GetBytes(RecordingCipher.KeyBytes);
            await connection.ExecuteAsync(new CommandDefinition(
                "INSERT INTO recording (session_id, recording_no, title, sealed_key, started_at) VALUES (@sessionId, @recording, @Title, @sealed, coalesce(@At, now())) ON CONFLICT DO NOTHING",
                new { sessionId, recording, chunk.Title, chunk.At, @sealed = vault.Seal(place, fresh) },
                transaction,
                cancellationToken: cancellationToken));
            CryptographicOperations.ZeroMemory(fresh);
        }

        // Read back, also by the one who wrote: of two silos that got the same chunk, one key won.
        var stored = await connection.QuerySingleOrDefaultAsync<byte[]?>(new CommandDefinition(
            "SELECT sealed_key FROM recording WHERE session_id = @sessionId AND recording_no = @recording",
            new { sessionId, recording },
            transaction,
            cancellationToken: cancellationToken));
        if (stored is null)
            return null;
        var key = vault.Open(place, stored);

        // What a transaction wrote may yet be taken back, and another key be made.
        if (transaction is not null)
            return key;
        if (_keys.Count >= MaxCachedKeys)
            _keys.Clear();
        _keys[(sessionId, recording)] = key;
        return key;
    }
}
