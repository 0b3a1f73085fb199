using System.IO.Pipelines;

namespace Relay.Tests.GrainHost.Cluster;

/// <summary>Two streams, each the other end of the other. Disposing one ends both.</summary>
internal sealed class MemoryDuplex : Stream
{
    private readonly PipeReader _reader;
    private readonly PipeWriter _writer;

    private MemoryDuplex(PipeReader reader, PipeWriter writer)
    {
        _reader = reader;
        _writer = writer;
    }

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public static (MemoryDuplex One, MemoryDuplex Other) Create(Func<Task>? pauseOne = null, Func<Task>? pauseOther = null)
    {
        var forth = new Pipe();
        var back = new Pipe();
        return (
            new MemoryDuplex(back.Reader, forth.Writer) { Pause = pauseOne ?? (() => Task.CompletedTask) },
            new MemoryDuplex(forth.Reader, back.Writer) { Pause = pauseOther ?? (() => Task.CompletedTask) });
    }

    /// <summary>What arrives is held back until this completes: the owner of this end is frozen.</summary>
    public Func<Task> Pause { get; init; } = () => Task.CompletedTask;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await Pause();
        var result = await _reader.ReadAsync(cancellationToken);
        await Pause();
        var count = (int)Math.Min(buffer.Length, result.Buffer.Length);
        var part = result.Buffer.Slice(0, count);
        var at = 0;
        foreach (var segment in part)
        {
            segment.Span.CopyTo(buffer.Span[at..]);
            at += segment.Length;
        }

        _reader.AdvanceTo(part.End);
        return count;
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var result = await _writer.WriteAsync(buffer, cancellationToken);
        if (result.IsCompleted) throw new IOException("The other end is closed.");
    }

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

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
