namespace Relay.Gateway.Recording;

/// <summary>Where finished chunks go, in order. Implementations retry what may be retried.</summary>
internal interface IRecordingStore
{
    /// <summary>Stores one chunk; idempotent by (recording, sequence).</summary>
    /// <param name="recording">Number of the recording within its session, from 0.</param>
    /// <param name="sequence">From 0, without gaps.</param>
    /// <param name="gzip">gzip of whole asciicast lines.</param>
    /// <param name="title">With chunk 0: a name for people.</param>
    /// <param name="last">No chunk follows.</param>
    /// <exception cref="RecordingFailedException">Not stored, and it never will be.</exception>
    Task StoreAsync(int recording, int sequence, ReadOnlyMemory<byte> gzip, string? title, bool last, CancellationToken cancellationToken);
}
