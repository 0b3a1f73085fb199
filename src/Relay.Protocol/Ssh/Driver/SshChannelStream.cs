using Relay.Protocol.Tunnel;

namespace Relay.Protocol.Ssh;

/// <summary>
/// A channel that carries plain bytes (direct-tcpip) as a duplex stream: EOF is the half-close, a close before both directions have
/// ended is the abort, and so is the connection's end, once what came before it has been read. Owns the channel. Caller disposes.
/// </summary>
public sealed class SshChannelStream : DuplexStream
{
    private readonly SshChannel _channel;
    private readonly CancellationTokenSource _stop = new();

    // Of the event that was read last: the channel's own memory, until the next read.
    private ReadOnlyMemory<byte> _rest;
    private string? _abortReason;
    private volatile bool _writesDone;
    private volatile bool _readsDone;

    /// <summary>Takes over an open channel that nobody reads.</summary>
    /// <param name="channel">Disposed with this.</param>
    public SshChannelStream(SshChannel channel)
    {
        ArgumentNullException.ThrowIfNull(channel);
        _channel = channel;
    }

    /// <inheritdoc/>
    public override CancellationToken Aborted => _stop.Token;

    /// <inheritdoc/>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        while (true)
        {
            if (Volatile.Read(ref _abortReason) is { } reason)
            {
                throw new IOException(reason);
            }

            if (!_rest.IsEmpty)
            {
                var count = Math.Min(buffer.Length, _rest.Length);
                _rest[..count].CopyTo(buffer);
                _rest = _rest[count..];
                return count;
            }

            if (_readsDone)
            {
                return 0;
            }

            var read = await NextAsync(cancellationToken).ConfigureAwait(false);
            switch (read.Kind)
            {
                case SshChannelEventKind.Data:
                    _rest = read.Data;
                    break;
                case SshChannelEventKind.Eof:
                    _readsDone = true;
                    _ = WatchAsync();
                    break;
                case SshChannelEventKind.Request when read.WantReply:
                    await _channel.ReplyAsync(false, CancellationToken.None).ConfigureAwait(false);
                    break;
                case SshChannelEventKind.Closed:
                    OnClosed();
                    break;
            }
        }
    }

    /// <inheritdoc/>
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            await _channel.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Abort("a write was cancelled");
            throw;
        }
    }

    /// <inheritdoc/>
    public override async ValueTask CompleteWritesAsync(CancellationToken cancellationToken = default)
    {
        if (Volatile.Read(ref _abortReason) is { } reason)
        {
            throw new IOException(reason);
        }

        // First: a peer that answers the EOF with its CLOSE has not broken off.
        _writesDone = true;
        try
        {
            await _channel.SendEofAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Abort("a write was cancelled");
            throw;
        }
    }

    /// <inheritdoc/>
    public override void Abort(string reason)
    {
        if (Interlocked.CompareExchange(ref _abortReason, reason, null) is not null)
        {
            return;
        }

        CloseChannel();
        _stop.Cancel();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            if (!_writesDone || !_readsDone)
            {
                Abort("the stream was closed");
            }

            CloseChannel();
        }

        base.Dispose(disposing);
    }

    private async ValueTask<SshChannelEvent> NextAsync(CancellationToken cancellationToken)
    {
        if (!cancellationToken.CanBeCanceled)
        {
            return await ReadUnlessAbortedAsync(_stop.Token).ConfigureAwait(false);
        }

        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _stop.Token);
        return await ReadUnlessAbortedAsync(both.Token).ConfigureAwait(false);
    }

    private async ValueTask<SshChannelEvent> ReadUnlessAbortedAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _channel.ReadAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            throw new IOException(_abortReason);
        }
    }

    // After its EOF the peer may still close: it takes nothing more then.
    private async Task WatchAsync()
    {
        try
        {
            while (await _channel.ReadAsync(_stop.Token).ConfigureAwait(false) is { Kind: not SshChannelEventKind.Closed } read)
            {
                if (read is { Kind: SshChannelEventKind.Request, WantReply: true })
                {
                    await _channel.ReplyAsync(false, CancellationToken.None).ConfigureAwait(false);
                }
            }

            OnClosed();
        }
        catch (OperationCanceledException)
        {
            // Aborted on this side.
        }
    }

    private void CloseChannel()
    {
        // Done when it returns: it sends a CLOSE and waits for nobody.
        var closing = _channel.DisposeAsync();
        System.Diagnostics.Debug.Assert(closing.IsCompletedSuccessfully);
    }

    private void OnClosed()
    {
        if (!_readsDone || !_writesDone)
        {
            Abort(_channel.Connection.Ending?.Message is { Length: > 0 } why ? why : "the channel was closed by the other side");
        }
    }
}
