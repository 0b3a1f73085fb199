using System.IO.Pipelines;

namespace Relay.Tests.Protocol.Ssh;

/// <summary>Two connected streams in memory. With a seed, each read returns a random small piece.</summary>
internal sealed class MemoryDuplex : Stream
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

    /// <summary>What was read is handed out when this is done.</summary>
    public Task AfterRead { get; set; } = Task.CompletedTask;

    /// <summary>Runs at each write, and may throw.</summary>
    public Action? OnWrite { get; set; }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

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

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var result = await _reader.ReadAsync(cancellationToken);
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
        await AfterRead;
        return length;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        OnWrite?.Invoke();
        var result = await _writer.WriteAsync(buffer, cancellationToken);
        if (result.IsCompleted)
            throw new IOException("The other end is closed.");
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override void Flush()
    {
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
        => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _writer.Complete();
            _reader.Complete();
        }

        base.Dispose(disposing);
    }
}
