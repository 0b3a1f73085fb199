using System.IO.Pipelines;

namespace Relay.TestKit;

/// <summary>Two streams in memory, each the other end of the other. Disposing one ends both. With a seed, each read returns a random small piece.</summary>
public sealed class MemoryDuplex : Stream
{
    private readonly PipeReader _reader;
    private readonly PipeWriter _writer;
    private readonly Random? _split;

    private MemoryDuplex(PipeReader reader, PipeWriter writer, int? seed)
    {
        _reader = reader;
        _writer = writer;
        _split = seed is { } value ? new Random(value) : null;
    }

    /// <summary>What arrives is held back until this completes: the owner of this end is slow, or frozen.</summary>
    public Func<Task> Pause { get; set; } = () => Task.CompletedTask;

    /// <summary>Runs at each write, and may throw.</summary>
    public Action? OnWrite { get; set; }

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public static (MemoryDuplex A, MemoryDuplex B) Create(int? seed = null)
    {
        var options = new PipeOptions(pauseWriterThreshold: 256 * 1024, resumeWriterThreshold: 128 * 1024, useSynchronizationContext: false);
        var up = new Pipe(options);
        var down = new Pipe(options);
        return (new(down.Reader, up.Writer, seed), new(up.Reader, down.Writer, seed + 1));
    }

    /// <inheritdoc/>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await Pause();
        var result = await _reader.ReadAsync(cancellationToken);
        await Pause();
        var available = result.Buffer;
        if (available.IsEmpty)
        {
            _reader.AdvanceTo(available.Start);
            return 0;
        }

        var length = (int)Math.Min(buffer.Length, available.Length);
        if (_split is not null)
            length = Math.Min(length, _split.Next(10) == 0 ? _split.Next(1, 5000) : _split.Next(1, 40));
        var slice = available.Slice(0, length);
        var offset = 0;
        foreach (var segment in slice)
        {
            segment.Span.CopyTo(buffer.Span[offset..]);
            offset += segment.Length;
        }

        _reader.AdvanceTo(slice.End);
        return length;
    }

    /// <inheritdoc/>
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        OnWrite?.Invoke();
        var result = await _writer.WriteAsync(buffer, cancellationToken);
        if (result.IsCompleted)
            throw new IOException("The other end is closed.");
    }

    /// <inheritdoc/>
    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _writer.Complete();
            _reader.CancelPendingRead();
            _reader.Complete();
        }

        base.Dispose(disposing);
    }
}
