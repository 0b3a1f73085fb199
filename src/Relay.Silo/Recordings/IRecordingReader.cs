namespace Relay.Silo.Recordings;

/// <summary>Reads recordings for replay. Whoever calls has checked that the reader may see this session (L32c).</summary>
internal interface IRecordingReader
{
    /// <summary>The recording as asciicast v2, newline-delimited JSON in UTF-8, in pieces of whole lines; ends after what is there now.</summary>
    /// <param name="sessionId">A session that the caller may read.</param>
    /// <param name="recording">From 0.</param>
    /// <exception cref="RecordingNotFoundException">No such recording.</exception>
    /// <exception cref="RecordingDamagedException">Changed, moved or cut since it was written; everything yielded before is genuine.</exception>
    IAsyncEnumerable<ReadOnlyMemory<byte>> ReadAsync(Guid sessionId, int recording, CancellationToken cancellationToken);
}

/// <summary>There is no such recording.</summary>
internal sealed class RecordingNotFoundException(Guid sessionId, int recording) : Exception($"session {sessionId:D} has no recording {recording}");

/// <summary>A recording is not what was written.</summary>
internal sealed class RecordingDamagedException(Guid sessionId, int recording, int sequence, string what)
    : Exception($"recording {recording} of session {sessionId:D} is damaged at chunk {sequence}: {what}")
{
    /// <summary>The first chunk that does not hold.</summary>
    public int Sequence { get; } = sequence;
}
