using System.Runtime.CompilerServices;

namespace Relay.Protocol.Ssh;

/// <summary>
/// One channel of a connection, RFC 4254 §5. One reader at a time; writers may be several, each write goes out whole.
/// The two directions end on their own: EOF received says nothing about sending, and the other way round. Caller
/// disposes, which closes the channel.
/// </summary>
public sealed class SshChannel : IAsyncDisposable
{
    private readonly SshLink _link;
    private readonly SshChannelState _state;
    private readonly SshEventQueue _events = new();
    private readonly SshSignal _readable;
    private readonly SshSignal _writable;
    private readonly SemaphoreSlim _writers = new(1, 1);
    private readonly Queue<TaskCompletionSource<bool>> _asked = new();
    private TaskCompletionSource? _opening;
    private int _unanswered;
    private int _wanted;
    private bool _discard;
    private bool _ended;

    internal SshChannel(SshConnection connection, SshLink link, string channelType, uint localId, uint window, bool fromPeer)
    {
        Connection = connection;
        ChannelType = channelType;
        IsFromPeer = fromPeer;
        _link = link;
        _state = new(localId, window);
        _readable = new(link.Gate);
        _writable = new(link.Gate);
    }

    /// <summary>This side's number of the channel; used again after the channel is closed.</summary>
    public uint LocalId => _state.LocalId;

    /// <summary>Type as in SSH_MSG_CHANNEL_OPEN: "session", "direct-tcpip", …</summary>
    public string ChannelType { get; }

    /// <summary>The connection it belongs to.</summary>
    public SshConnection Connection { get; }

    internal bool IsFromPeer { get; }

    internal SshChannelState State => _state;

    /// <summary>
    /// The next event, in the peer's order. Ends the use of the event before it and gives its window back. After
    /// <see cref="SshChannelEventKind.Closed"/> it keeps returning that.
    /// </summary>
    /// <exception cref="InvalidOperationException">Another read is pending.</exception>
    public ValueTask<SshChannelEvent> ReadAsync(CancellationToken cancellationToken = default)
    {
        SshChannelEvent next;
        bool adjusted;
        ValueTask wait = default;
        bool found;
        lock (_link.Gate)
        {
            found = TryRead(out next, out adjusted);
            if (!found)
                wait = _readable.ArmAsync(cancellationToken);
        }

        if (adjusted)
            _link.Flush();
        return found ? new(next) : WaitAndReadAsync(wait, cancellationToken);
    }

    /// <summary>Sends data as the peer's window lets it. Returns when all of it is on its way; the memory may then be used again.</summary>
    /// <exception cref="SshChannelClosedException">Either side closed the channel, this side sent EOF, or the connection ended.</exception>
    public ValueTask WriteAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => SendDataAsync(null, data, cancellationToken);

    /// <summary>Sends extended data; type 1 is stderr. See <see cref="WriteAsync"/>.</summary>
    /// <exception cref="SshChannelClosedException">As for <see cref="WriteAsync"/>.</exception>
    public ValueTask WriteExtendedAsync(uint type, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        => SendDataAsync(type, data, cancellationToken);

    /// <summary>Says that no more data comes from this side, after the writes before it. A second call, or one after the close, does nothing.</summary>
    public async ValueTask SendEofAsync(CancellationToken cancellationToken = default)
    {
        await _writers.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            lock (_link.Gate)
            {
                if (_ended || !_state.CanSendData)
                    return;
                _state.EofSent = true;
                Send(SshMessageNumber.ChannelEof);
            }
        }
        finally
        {
            _writers.Release();
        }

        _link.Flush();
    }

    /// <summary>
    /// Closes this side: nothing more is sent, what the peer still sends is dropped. Does not wait for the peer; its own
    /// CLOSE comes as event. A second call does nothing.
    /// </summary>
    public async ValueTask CloseAsync(CancellationToken cancellationToken = default)
    {
        // Data that is being written goes first, unless the peer holds it up.
        var orderly = await _writers.WaitAsync(TimeSpan.Zero, cancellationToken).ConfigureAwait(false);
        try
        {
            lock (_link.Gate)
                CloseLocally();
        }
        finally
        {
            if (orderly)
                _writers.Release();
        }

        _link.Flush();
    }

    /// <summary>
    /// Sends a channel request, after the writes that have returned. With <paramref name="wantReply"/> returns the
    /// peer's answer, else true at once.
    /// </summary>
    /// <exception cref="SshChannelClosedException">The channel is closed, or was before the answer came.</exception>
    public async ValueTask<bool> SendRequestAsync(string type, bool wantReply, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken = default)
    {
        TaskCompletionSource<bool>? answer = null;
        // Not behind a write that waits for the window: a signal or a window change must reach a peer that does not read.
        lock (_link.Gate)
        {
            if (_ended || !_state.IsOpen || _state.CloseSent || _state.CloseReceived)
                throw Closed();
            if (wantReply)
            {
                answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
                _asked.Enqueue(answer);
            }

            _link.Scratch.Clear();
            SshChannelMessages.Request(_link.Scratch, _state.RemoteId, type, wantReply, payload.Span);
            _state.ExitSent |= type is "exit-status" or "exit-signal";
            _link.Transport.Send(_link.Scratch.WrittenSpan);
        }

        _link.Flush();
        return answer is null || await answer.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Answers the oldest request that was read with "want reply" and not answered yet. Does nothing after the close.
    /// </summary>
    /// <exception cref="InvalidOperationException">No request waits for an answer.</exception>
    public ValueTask ReplyAsync(bool success, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        lock (_link.Gate)
        {
            if (_unanswered == 0)
            {
                if (_ended || _state.CloseReceived || _state.CloseSent)
                    return default;
                throw new InvalidOperationException("No channel request waits for an answer.");
            }

            _unanswered--;
            if (!_ended && !_state.CloseSent && !_state.CloseReceived)
                Send(success ? SshMessageNumber.ChannelSuccess : SshMessageNumber.ChannelFailure);
        }

        _link.Flush();
        return default;
    }

    /// <summary>Closes the channel and drops what was not read.</summary>
    public ValueTask DisposeAsync()
    {
        lock (_link.Gate)
        {
            CloseLocally();
            _discard = true;
            _events.Clear();
        }

        _link.Flush();
        return default;
    }

    internal void OnData(uint? extendedType, ReadOnlySpan<byte> data)
    {
        _state.OnData(data.Length);
        if (_discard || _state.CloseSent)
            return;
        var kind = extendedType is null ? SshChannelEventKind.Data : SshChannelEventKind.ExtendedData;
        if (!_events.TryAddData(kind, extendedType ?? 0, data))
            throw SshException.Protocol("Too many pieces of channel data are waiting.");
    }

    internal void OnEof()
    {
        _state.OnEof();
        if (!_discard && !_state.CloseSent && !_events.TryAddEof())
            throw SshException.Protocol("Too many channel events are waiting.");
    }

    internal void OnRequest(string type, bool wantReply, ReadOnlySpan<byte> payload)
    {
        _state.OnMessage();
        if (_discard || _state.CloseSent)
            return;
        if (wantReply && ++_unanswered > SshLimits.UnansweredRequests)
            throw SshException.Protocol("Too many channel requests are waiting for an answer.");
        // OpenSSH's sign of life is answered here, unless an answer before it is still due.
        if (type == "keepalive@openssh.com" && wantReply && _unanswered == 1)
        {
            _unanswered = 0;
            Send(SshMessageNumber.ChannelFailure);
            return;
        }

        if (!_events.TryAddRequest(type, wantReply, payload))
            throw SshException.Protocol("Too many channel requests are waiting.");
    }

    /// <summary>An answer nobody asked for is dropped (L11).</summary>
    internal void OnReply(bool success)
    {
        _state.OnMessage();
        if (_asked.TryDequeue(out var answer))
            answer.TrySetResult(success);
    }

    internal void OnClose()
    {
        _state.OnClose();
        // RFC 4254 §5.3: CLOSE is answered with CLOSE. What was received before stays readable.
        if (!_state.CloseSent)
        {
            _state.CloseSent = true;
            Send(SshMessageNumber.ChannelClose);
        }

        FailAsked();
        _writable.Set();
    }

    internal void OnConnectionEnded()
    {
        _ended = true;
        FailAsked();
        _opening?.TrySetException(Connection.EndedError());
        WakeReader();
        _writable.Set();
    }

    internal void OnWindowAdjust(uint bytes)
    {
        _state.OnWindowAdjust(bytes);
        if (_state.IsWorthSending(_wanted))
            _writable.Set();
    }

    internal void WakeReader() => _readable.Set();

    internal void WakeWriter() => _writable.Set();

    internal Task BeginOpening()
    {
        _opening = new(TaskCreationOptions.RunContinuationsAsynchronously);
        return _opening.Task;
    }

    internal void EndOpening(Exception? failure)
    {
        if (failure is null)
            _opening?.TrySetResult();
        else
            _opening?.TrySetException(failure);
        _opening = null;
    }

    /// <summary>True while this side's OPEN is not answered.</summary>
    internal bool IsOpening => _opening is not null;

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<SshChannelEvent> WaitAndReadAsync(ValueTask wait, CancellationToken cancellationToken)
    {
        while (true)
        {
            await wait.ConfigureAwait(false);
            lock (_link.Gate)
            {
                if (TryRead(out var next, out _))
                    return next;
                wait = _readable.ArmAsync(cancellationToken);
            }
        }
    }

    private bool TryRead(out SshChannelEvent next, out bool adjusted)
    {
        adjusted = false;
        var consumed = _events.Release();
        if (consumed > 0 && !_ended && _state.OnConsumed(consumed) is var credit and > 0)
        {
            _link.Scratch.Clear();
            SshChannelMessages.WindowAdjust(_link.Scratch, _state.RemoteId, credit);
            _link.Transport.Send(_link.Scratch.WrittenSpan);
            adjusted = true;
        }

        if (_events.TryTake(out next))
            return true;
        next = new(SshChannelEventKind.Closed);
        return _ended || _state.CloseReceived || _discard;
    }

    private async ValueTask SendDataAsync(uint? extendedType, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        await _writers.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            while (true)
            {
                ValueTask wait;
                lock (_link.Gate)
                {
                    if (_ended || !_state.CanSendData)
                        throw Closed();
                    if (data.IsEmpty)
                        break;
                    if (TrySendPiece(extendedType, ref data))
                        continue;
                    _wanted = data.Length;
                    wait = _writable.ArmAsync(cancellationToken);
                }

                _link.Flush();
                await wait.ConfigureAwait(false);
            }
        }
        finally
        {
            _writers.Release();
        }

        _link.Flush();
    }

    private bool TrySendPiece(uint? extendedType, ref ReadOnlyMemory<byte> data)
    {
        if (_link.MustWait)
        {
            Connection.OnWriterBlocked(this);
            return false;
        }

        var length = _state.UseSend(data.Length);
        if (length == 0)
            return false;
        SshChannelMessages.Data(_link.Transport.Writer, _state.RemoteId, extendedType, data.Span[..length]);
        data = data[length..];
        _link.Transport.RekeyIfDue(_link.Now);
        return true;
    }

    private void CloseLocally()
    {
        if (_ended || _state.CloseSent || !_state.IsOpen)
            return;
        _state.CloseSent = true;
        Send(SshMessageNumber.ChannelClose);
        FailAsked();
        _writable.Set();
    }

    private void FailAsked()
    {
        while (_asked.TryDequeue(out var answer))
            answer.TrySetException(Closed());
    }

    private void Send(byte number)
    {
        _link.Scratch.Clear();
        SshChannelMessages.Short(_link.Scratch, number, _state.RemoteId);
        _link.Transport.Send(_link.Scratch.WrittenSpan);
    }

    private SshChannelClosedException Closed()
        => _ended ? new("The connection ended.", Connection.EndedError()) : new("The channel is closed.");
}
