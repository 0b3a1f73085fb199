using System.Collections.Concurrent;
using System.Security.Cryptography;
using Dapper;
using Npgsql;
using Relay.Silo.Secrets;

namespace Relay.Silo.Recordings;

/// <summary>What became of a chunk.</summary>
internal enum ChunkResult
{
    /// <summary>Not that gateway's session, not recorded, or over for too long.</summary>
    NoSession = 0,

    /// <summary>Written, or it had been.</summary>
    Stored,

    /// <summary>An earlier one is missing.</summary>
    Gap,

    /// <summary>The recording had ended.</summary>
    Ended,

    /// <summary>Not gzip, or too large inflated.</summary>
    Malformed,
}

/// <summary>Where recordings live: sealed chunks in the database, a key per recording. Safe for concurrent use.</summary>
internal sealed class RecordingStore(NpgsqlDataSource database, SecretVault vault, RecordingStates states)
{
    // The key of a recording that is being written is needed every second: kept (sealed chunks, not the key, would be the leak of a dump).
    private const int MaxCachedKeys = 10_000;
    private readonly ConcurrentDictionary<(Guid, int), byte[]> _keys = new();

    /// <summary>Writes one chunk. Idempotent by (session, recording, sequence); the first content stays.</summary>
    /// <param name="gateway">Must be the session's gateway.</param>
    /// <param name="gzip">gzip of whole asciicast lines.</param>
    /// <param name="title">Kept with chunk 0.</param>
    public async Task<ChunkResult> AppendAsync(
        Guid sessionId, string gateway, int recording, int sequence, ReadOnlyMemory<byte> gzip, string title, bool last, CancellationToken cancellationToken)
    {
        // What cannot be replayed must not be acknowledged.
        if (ChunkInflater.TryInflate(gzip) is null)
            return ChunkResult.Malformed;

        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var mine = await connection.QuerySingleOrDefaultAsync<bool?>(new CommandDefinition(
            """
            SELECT end_time IS NOT NULL FROM session
            WHERE session_id = @sessionId AND gateway = @gateway AND recording_state <> 'disabled' AND (end_time IS NULL OR end_time > now() - @late)
            """,
            new { sessionId, gateway, late = RecordingLimits.LateDelivery },
            cancellationToken: cancellationToken));
        if (mine is not { } sessionIsOver)
            return ChunkResult.NoSession;

        if (await KeyAsync(connection, sessionId, recording, sequence == 0 ? title : null, cancellationToken) is not { } key)
            return ChunkResult.Gap;
        byte[] data;
        using (var cipher = new RecordingCipher((byte[])key.Clone(), sessionId, recording))
            data = cipher.Seal(sequence, last, gzip.Span);

        // One statement decides: the next number is stored once, an earlier one is left as it is.
        var next = await connection.QuerySingleAsync<(int Next, bool Ended, int Stored)>(new CommandDefinition(
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
              UPDATE recording SET ended_at = now() WHERE session_id = @sessionId AND recording_no = @recording AND @last AND EXISTS (SELECT 1 FROM stored)
            )
            SELECT next, ended, (SELECT count(*)::int FROM stored) FROM head
            """,
            new { sessionId, recording, sequence, data, last },
            cancellationToken: cancellationToken));
        if (next.Stored == 0)
            return sequence < next.Next ? ChunkResult.Stored : next.Ended ? ChunkResult.Ended : sequence == next.Next ? ChunkResult.Stored : ChunkResult.Gap;
        if (last)
        {
            _keys.TryRemove((sessionId, recording), out _);
            // Whatever was true when this chunk came: of the session's end and its last chunk, the later one sees the other.
            await states.SettleAsync(sessionId, cancellationToken);
        }
        else if (sessionIsOver && sequence == 0)
        {
            await states.ReopenAsync(sessionId, cancellationToken);
        }

        return ChunkResult.Stored;
    }

    // Null: the recording does not exist, and only chunk 0 (with a title) makes one.
    private async Task<byte[]?> KeyAsync(NpgsqlConnection connection, Guid sessionId, int recording, string? title, CancellationToken cancellationToken)
    {
        if (_keys.TryGetValue((sessionId, recording), out var cached))
            return cached;
        var place = SecretPlace.RecordingKey(sessionId, recording);
        if (title is not null)
        {
            var fresh = RandomNumberGenerator.GetBytes(RecordingCipher.KeyBytes);
            await connection.ExecuteAsync(new CommandDefinition(
                "INSERT INTO recording (session_id, recording_no, title, sealed_key) VALUES (@sessionId, @recording, @title, @sealed) ON CONFLICT DO NOTHING",
                new { sessionId, recording, title, @sealed = vault.Seal(place, fresh) },
                cancellationToken: cancellationToken));
            CryptographicOperations.ZeroMemory(fresh);
        }

        // Read back, also by the one who wrote: of two silos that got the same chunk, one key won.
        var stored = await connection.QuerySingleOrDefaultAsync<byte[]?>(new CommandDefinition(
            "SELECT sealed_key FROM recording WHERE session_id = @sessionId AND recording_no = @recording",
            new { sessionId, recording },
            cancellationToken: cancellationToken));
        if (stored is null)
            return null;
        var key = vault.Open(place, stored);
        if (_keys.Count >= MaxCachedKeys)
            _keys.Clear();
        _keys[(sessionId, recording)] = key;
        return key;
    }
}
