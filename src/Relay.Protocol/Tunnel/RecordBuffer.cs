using System.Buffers;
using System.Net.Sockets;

namespace Relay.Protocol.Tunnel;

/// <summary>
/// A socket as <see cref="TlsSocketStream"/> uses it: what has come is received with one call, however many records it is,
/// and records are held until all of one write are there. A quiet connection holds no buffer. Owns the socket.
/// </summary>
internal sealed class RecordBuffer(Socket socket) : Stream
{
    private const int ReceiveBytes = 128 * 1024;

    // A full record came at once: more is to come, and a buffer of our own pays.
    private const int BusyBytes = 16 * 1024;

    private readonly Lock _gate = new();
    private byte[] _received = [];
    private int _start;
    private int _end;
    private bool _busy;
    private byte[] _held = [];
    private int _heldBytes;
    private bool _holding;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>From now on writes are kept until <see cref="SendHeldAsync"/>.</summary>
    public void Hold()
    {
        lock (_gate)
            _holding = true;
    }

    /// <summary>Sends what was held.</summary>
    public async ValueTask SendHeldAsync(CancellationToken cancellationToken)
    {
        byte[] held;
        int length;
        lock (_gate)
        {
            _holding = false;
            (held, _held) = (_held, []);
            (length, _heldBytes) = (_heldBytes, 0);
        }

        if (length > 0)
            await SendAsync(held.AsMemory(0, length), cancellationToken).ConfigureAwait(false);

        // Not after a failed send, which may still be using it.
        if (held.Length > 0)
            ArrayPool<byte>.Shared.Return(held);
    }

    /// <summary>An empty buffer waits until there is something to read, and returns 0.</summary>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_start < _end)
            return new(Take(buffer));
        return _busy ? FillAsync(buffer, cancellationToken) : ReceiveAsync(buffer, cancellationToken);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        lock (_gate)
        {
            if (_holding)
            {
                Keep(buffer.Span);
                return default;
            }
        }

        return SendAsync(buffer, cancellationToken);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

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
        // The buffers are left to the collector: a read or write may be under way.
        if (disposing)
            socket.Dispose();
        base.Dispose(disposing);
    }

    private int Take(Memory<byte> buffer)
    {
        var count = Math.Min(buffer.Length, _end - _start);
        _received.AsSpan(_start, count).CopyTo(buffer.Span);
        _start += count;
        if (_start == _end && !_busy && _received.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_received);
            _received = [];
            _start = _end = 0;
        }

        return count;
    }

    private async ValueTask<int> FillAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (_received.Length == 0)
            _received = ArrayPool<byte>.Shared.Rent(ReceiveBytes);
        _start = _end = 0;
        var read = await ReceiveAsync(_received, cancellationToken).ConfigureAwait(false);
        _end = read;
        return Take(buffer);
    }

    private async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            var read = await socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken).ConfigureAwait(false);
            _busy = read >= BusyBytes;
            return read;
        }
        catch (SocketException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    private async ValueTask SendAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            while (buffer.Length > 0)
                buffer = buffer[await socket.SendAsync(buffer, SocketFlags.None, cancellationToken).ConfigureAwait(false)..];
        }
        catch (SocketException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    private void Keep(ReadOnlySpan<byte> records)
    {
        var wanted = _heldBytes + records.Length;
        if (_held.Length < wanted)
        {
            var grown = ArrayPool<byte>.Shared.Rent(Math.Max(wanted, 2 * _held.Length));
            _held.AsSpan(0, _heldBytes).CopyTo(grown);
            if (_held.Length > 0)
                ArrayPool<byte>.Shared.Return(_held);
            _held = grown;
        }

        records.CopyTo(_held.AsSpan(_heldBytes));
        _heldBytes = wanted;
    }
}
