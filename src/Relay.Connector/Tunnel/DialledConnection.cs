using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace Relay.Connector.Tunnel;

/// <summary>
/// A connection that the agent dialled, in the form Kestrel serves. Owns the stream.
/// What was agreed when it attached travels with it as <see cref="Attachment"/>.
/// </summary>
internal sealed class DialledConnection : ConnectionContext
{
    // Kestrel's output goes out segment by segment; large ones make full TLS records.
    private const int SegmentBytes = 64 * 1024;

    private readonly Stream _stream;
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _completed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _aborted;

    public DialledConnection(Stream stream, EndPoint? remote, Attachment attachment)
    {
        _stream = stream;
        RemoteEndPoint = remote;
        ConnectionId = $"tunnel-{attachment.Epoch}";
        ConnectionClosed = _closed.Token;
        Attachment = attachment;
        Features.Set(attachment);
        Transport = new Pipes(
            PipeReader.Create(stream, new StreamPipeReaderOptions(MemoryPool<byte>.Shared, SegmentBytes, minimumReadSize: 16 * 1024, leaveOpen: true)),
            PipeWriter.Create(stream, new StreamPipeWriterOptions(MemoryPool<byte>.Shared, SegmentBytes, leaveOpen: true)));
    }

    public Attachment Attachment { get; }

    /// <summary>Ends when the connection is over and Kestrel has let go of it.</summary>
    public Task Completed => _completed.Task;

    public override string ConnectionId { get; set; }

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new ConnectionItems();

    public override IDuplexPipe Transport { get; set; }

    /// <summary>
    /// Where Kestrel's streams take their buffers. Without this they come from the shared array pool, which keeps so few of
    /// Kestrel's 4 KiB blocks that a full window is allocated anew again and again (measured: 0.5 byte per byte carried).
    /// </summary>
    public void UsePool(MemoryPool<byte> pool) => Features.Set<IMemoryPoolFeature>(new PoolFeature(pool));

    /// <summary>Says GOAWAY; open streams go on, and when the last one is over the connection closes.</summary>
    public void RequestClose() => Features.Get<IConnectionLifetimeNotificationFeature>()?.RequestClose();

    public override void Abort(ConnectionAbortedException abortReason)
    {
        if (Interlocked.Exchange(ref _aborted, 1) != 0)
            return;

        // Closing the stream is what wakes a read or write that hangs.
        _stream.Dispose();
        _ = Task.Run(_closed.Cancel);
    }

    public override async ValueTask DisposeAsync()
    {
        var over = new ConnectionAbortedException("the connection is over");
        Abort(over);
        try
        {
            // With a reason: without one the writer would flush what is left, into a stream that is closed, and throw.
            await Transport.Input.CompleteAsync(over);
            await Transport.Output.CompleteAsync(over);
            await base.DisposeAsync();
        }
        finally
        {
            // Whatever happens: the connector waits for this to dial anew.
            _completed.TrySetResult();
        }
    }

    private sealed class PoolFeature(MemoryPool<byte> pool) : IMemoryPoolFeature
    {
        public MemoryPool<byte> MemoryPool { get; } = pool;
    }

    private sealed class Pipes(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input { get; } = input;

        public PipeWriter Output { get; } = output;
    }
}
