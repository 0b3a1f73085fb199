using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using Dapper;
using Npgsql;
using Relay.Silo.Secrets;

namespace Relay.Silo.Recordings;

/// <inheritdoc cref="IRecordingReader"/>
internal sealed class RecordingReader(NpgsqlDataSource database, SecretVault vault) : IRecordingReader
{
    // A chunk is at most 256 KiB: what one reader holds of the database at a time.
    private const int PageChunks = 8;

    public async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAsync(Guid sessionId, int recording, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var connection = await database.OpenConnectionAsync(cancellationToken);
        var head = await connection.QuerySingleOrDefaultAsync<Head>(new CommandDefinition(
            """
            SELECT sealed_key, ended_at IS NOT NULL AS ended,
              (SELECT max(seq) FROM recording_chunk c WHERE c.session_id = r.session_id AND c.recording_no = r.recording_no) AS last_sequence
            FROM recording r WHERE session_id = @sessionId AND recording_no = @recording
            """,
            new { sessionId, recording },
            cancellationToken: cancellationToken)) ?? throw new RecordingNotFoundException(sessionId, recording);
        if (head.LastSequence is not { } lastSequence)
        {
            if (head.Ended)
                throw new RecordingDamagedException(sessionId, recording, 0, "every chunk is missing");
            yield break;
        }

        using var cipher = new RecordingCipher(OpenKey(sessionId, recording, head.SealedKey), sessionId, recording);
        var next = 0;
        while (next <= lastSequence)
        {
            var page = (await connection.QueryAsync<(int Sequence, byte[] Data)>(new CommandDefinition(
                "SELECT seq, data FROM recording_chunk WHERE session_id = @sessionId AND recording_no = @recording AND seq >= @next AND seq <= @lastSequence ORDER BY seq LIMIT @limit",
                new { sessionId, recording, next, lastSequence, limit = PageChunks },
                cancellationToken: cancellationToken))).AsList();
            if (page.Count == 0)
                throw new RecordingDamagedException(sessionId, recording, next, "it is missing");
            foreach (var (sequence, data) in page)
            {
                if (sequence != next)
                    throw new RecordingDamagedException(sessionId, recording, next, "it is missing");
                yield return Open(cipher, sessionId, recording, sequence, isLast: head.Ended && sequence == lastSequence, data);
                next++;
            }
        }
    }

    private static byte[] Open(RecordingCipher cipher, Guid sessionId, int recording, int sequence, bool isLast, byte[] data)
    {
        try
        {
            return ChunkInflater.TryInflate(cipher.Open(sequence, isLast, data))
                ?? throw new RecordingDamagedException(sessionId, recording, sequence, "it does not inflate");
        }
        catch (CryptographicException)
        {
            throw new RecordingDamagedException(sessionId, recording, sequence, isLast ? "it was changed, or the end is missing" : "it was changed");
        }
    }

    private byte[] OpenKey(Guid sessionId, int recording, byte[] sealedKey)
    {
        try
        {
            return vault.Open(SecretPlace.RecordingKey(sessionId, recording), sealedKey);
        }
        catch (SecretException e)
        {
            throw new RecordingDamagedException(sessionId, recording, 0, e.Message);
        }
    }

    private sealed class Head
    {
        public byte[] SealedKey { get; init; } = [];

        public bool Ended { get; init; }

        public int? LastSequence { get; init; }
    }
}
