using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace Relay.Protocol.Tunnel;

/// <summary>A TCP connection as a duplex stream: FIN is the half-close, RST the abort. Owns the socket. Caller disposes.</summary>
public sealed class SocketDuplexStream : DuplexStream
{
    private readonly Socket _socket;
    private readonly CancellationTokenSource _stop = new();
    private string? _abortReason;
    private int _writesDone;
    private bool _readsDone;

    /// <summary>Takes over a connected socket and turns TCP_NODELAY on.</summary>
    /// <param name="socket">Connected; disposed with this.</param>
    public SocketDuplexStream(Socket socket)
    {
        ArgumentNullException.ThrowIfNull(socket);
        if (socket.ProtocolType == ProtocolType.Tcp)
        {
            socket.NoDelay = true;
        }

        _socket = socket;
    }

    /// <inheritdoc/>
    public override CancellationToken Aborted => _stop.Token;

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_abortReason is { } reason)
        {
            throw new IOException(reason);
        }

        if (_readsDone)
        {
            return 0;
        }

        try
        {
            var read = await _socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken).ConfigureAwait(false);
            if (read == 0 && buffer.Length > 0)
            {
                _readsDone = true;
            }

            return read;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            Abort(e.Message);
            throw new IOException(_abortReason, e);
        }
    }

    /// <inheritdoc/>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_abortReason is { } reason)
        {
            throw new IOException(reason);
        }

        try
        {
            while (buffer.Length > 0)
            {
                var sent = await _socket.SendAsync(buffer, SocketFlags.None, cancellationToken).ConfigureAwait(false);
                buffer = buffer[sent..];
            }
        }
        catch (OperationCanceledException)
        {
            Abort("a write was cancelled");
            throw;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Reading is left alone: what the peer sent before it stopped taking can still be there.
            throw new IOException(_abortReason ?? e.Message, e);
        }
    }

    /// <inheritdoc/>
    public override ValueTask CompleteWritesAsync(CancellationToken cancellationToken = default)
    {
        if (Interlocked.Exchange(ref _writesDone, 1) != 0)
        {
            return ValueTask.CompletedTask;
        }

        try
        {
            _socket.Shutdown(SocketShutdown.Send);
            return ValueTask.CompletedTask;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return ValueTask.FromException(new IOException(_abortReason ?? e.Message, e));
        }
    }

    /// <inheritdoc/>
    public override void Abort(string reason)
    {
        if (Interlocked.CompareExchange(ref _abortReason, reason, null) is not null)
        {
            return;
        }

        try
        {
            // Zero linger turns close into RST.
            _socket.LingerState = new LingerOption(enable: true, 0);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Closed or reset already; closing once more does no harm.
        }

        _socket.Dispose();
        _stop.Cancel();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            if (Volatile.Read(ref _writesDone) == 0 || !_readsDone)
            {
                Abort("the stream was closed");
            }

            _socket.Dispose();
        }

        base.Dispose(disposing);
    }
}
