using System.Buffers;
using System.Runtime.CompilerServices;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>
/// A session's stream as the way of a UDP flow. Sending never waits: a datagram is put in a buffer that is written as soon as the write
/// before it is done, so that those that come meanwhile share one, and is dropped when the buffer is full. At rest it holds no buffer. One sender and one
/// receiver at a time. Owns the stream. Caller disposes.
/// </summary>
/// <param name="stream">To a target that takes datagrams: <see cref="DatagramFraming"/>.</param>
internal sealed class DatagramStream(DuplexStream stream) : IDatagramPipe, IThreadPoolWorkItem
{
    /// <summary>What may wait while a write is under way: some ninety datagrams of the usual length, or one of the longest.</summary>
    private const int QueueBytes = 128 * 1024;

    private readonly Lock _lock = new();
    private readonly DatagramReader _reader = new();
    private byte[] _queue = [];
    private int _queued;
    private bool _isWriting;
    private bool _isOver;

    public bool TrySend(ReadOnlySpan<byte> datagram)
    {
        lock (_lock)
        {
            if (_isOver) return false;
            if (_queue.Length == 0) _queue = ArrayPool<byte>.Shared.Rent(QueueBytes);
            if (!DatagramFraming.TryWrite(datagram, _queue.AsSpan(_queued), out int written)) return false;
            _queued += written;
            if (_isWriting) return true;
            _isWriting = true;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        return true;
    }

    /// <exception cref="IOException">The stream was reset, or what came is no datagram.</exception>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public async ValueTask<bool> WaitToReceiveAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            switch (_reader.Look())
            {
                case DatagramReading.Datagram:
                    return true;
                case DatagramReading.TooLong:
                    stream.Abort("no datagrams");
                    throw new IOException("what came is no datagram");
            }

            // An empty read waits without a buffer.
            if (_reader.Pending == 0) _ = await stream.ReadAsync(Memory<byte>.Empty, cancellationToken);
            int read = await stream.ReadAsync(_reader.Room(), cancellationToken);
            if (read == 0) return false;
            _reader.Advance(read);
        }
    }

    public bool TryReceive(Span<byte> buffer, out int length)
    {
        length = 0;
        if (_reader.TryRead(out ReadOnlySpan<byte> datagram) != DatagramReading.Datagram) return false;
        datagram.CopyTo(buffer);
        length = datagram.Length;
        return true;
    }

    void IThreadPoolWorkItem.Execute() => _ = WriteAsync();

    public async ValueTask DisposeAsync()
    {
        lock (_lock) _isOver = true;
        await stream.DisposeAsync();
        _reader.Dispose();
    }

    private async Task WriteAsync()
    {
        while (true)
        {
            byte[] full;
            int length;
            lock (_lock)
            {
                (full, _queue) = (_queue, []);
                (length, _queued) = (_queued, 0);
                _isWriting = length > 0 && !_isOver;
                if (!_isWriting)
                {
                    Return(full, length);
                    return;
                }
            }

            try
            {
                await stream.WriteAsync(full.AsMemory(0, length));
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException)
            {
                // The receiver learns it. The buffer is left to the collector: the failed write may still look at it.
                lock (_lock) _isOver = true;
                continue;
            }

            Return(full, length);
        }
    }

    // SECURITY: what a session sent must not show up in the next renter's buffer.
    private static void Return(byte[] buffer, int used)
    {
        if (buffer.Length == 0) return;
        buffer.AsSpan(0, used).Clear();
        ArrayPool<byte>.Shared.Return(buffer);
    }
}
