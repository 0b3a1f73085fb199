namespace Relay.Protocol.Tunnel;

/// <summary>
/// A byte stream whose two directions end independently, as TCP's do: read returns 0 when the peer has finished,
/// <see cref="CompleteWritesAsync"/> finishes ours, <see cref="Abort"/> ends both at once.
/// One reader and one writer at a time. Every write is on its way when it returns: there is nothing to flush.
/// Disposing without both directions finished is an abort. Asynchronous only.
/// </summary>
public abstract class DuplexStream : Stream
{
    /// <summary>Cancelled when the stream was aborted, by either side; not when it ended in order.</summary>
    public abstract CancellationToken Aborted { get; }

    /// <summary>Ends our direction: the peer reads everything written, then 0. Reading goes on. Idempotent.</summary>
    /// <exception cref="IOException">The stream was aborted.</exception>
    /// <param name="cancellationToken">Gives up waiting; the stream is then aborted.</param>
    public abstract ValueTask CompleteWritesAsync(CancellationToken cancellationToken = default);

    /// <summary>Ends both directions at once; the peer sees a reset. Never throws, never blocks, idempotent.</summary>
    /// <param name="reason">For exceptions on our side; does not travel.</param>
    public abstract void Abort(string reason);

    /// <inheritdoc/>
    public sealed override bool CanRead => true;

    /// <inheritdoc/>
    public sealed override bool CanWrite => true;

    /// <inheritdoc/>
    public sealed override bool CanSeek => false;

    /// <summary>Not supported.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public sealed override long Length => throw new NotSupportedException();

    /// <summary>Not supported.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public sealed override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Does nothing: writes do not linger.</summary>
    public sealed override void Flush()
    {
    }

    /// <summary>Does nothing: writes do not linger.</summary>
    /// <param name="cancellationToken">Not used.</param>
    public sealed override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Not supported: asynchronous only.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public sealed override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <summary>Not supported: asynchronous only.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public sealed override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <summary>Not supported.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public sealed override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <summary>Not supported.</summary>
    /// <exception cref="NotSupportedException">Always.</exception>
    public sealed override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    public sealed override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public sealed override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <summary>Waits for bytes. An empty buffer waits until a read would not wait, and returns 0.</summary>
    /// <returns>0: the peer finished its direction (or <paramref name="buffer"/> is empty).</returns>
    /// <exception cref="IOException">The stream was aborted.</exception>
    /// <param name="buffer">Where the bytes go.</param>
    /// <param name="cancellationToken">Ends this wait only.</param>
    public abstract override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default);

    /// <summary>Sends bytes; waits while the peer does not take them.</summary>
    /// <exception cref="IOException">The stream was aborted.</exception>
    /// <param name="buffer">The bytes; may be reused when the write has returned.</param>
    /// <param name="cancellationToken">SECURITY: a write cut in the middle leaves a torn stream, so cancelling aborts it.</param>
    public abstract override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default);
}
