using System.Buffers;

namespace Relay.Protocol.Ssh;

/// <summary>
/// The transport state machine on a byte stream: one reader fills and parses the input buffer, one send loop takes
/// everything that is sealed by then and writes it at once. <see cref="Gate"/> guards the transport and all state of
/// the connection above it.
/// </summary>
internal sealed class SshLink : IDisposable
{
    private const int SmallInput = 4 * 1024;
    private const int LargeInput = 256 * 1024;
    private const int InlineSends = 8;
    private readonly Stream _stream;
    private readonly TimeProvider _time;
    private readonly long _origin;
    private readonly SshSignal _sendable;
    private readonly TaskCompletionSource _sendEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _sendStop = new();
    private byte[] _input = [];
    private int _start;
    private int _end;
    private int _needed;
    private bool _wide;
    private bool _stopping;
    private bool _sendFailed;

    public SshLink(Stream stream, SshTransportOptions options, TimeProvider time)
    {
        _stream = stream;
        _time = time;
        _origin = time.GetTimestamp();
        _sendable = new(Gate, inline: true);
        Transport = new(options);
    }

    public Lock Gate { get; } = new();

    public SshTransport Transport { get; }

    /// <summary>Monotonic time since the link was made.</summary>
    public TimeSpan Now => _time.GetElapsedTime(_origin);

    /// <summary>Called with the gate held whenever the output buffer was taken: writers may go on.</summary>
    public Action? Drained { get; set; }

    /// <summary>The write side's failure; ends the connection.</summary>
    public Action<Exception>? SendFailed { get; set; }

    /// <summary>Scratch space for small messages. Gate held.</summary>
    public SshWriter Scratch { get; } = new(512);

    /// <summary>True when a writer of channel data has to wait. Gate held.</summary>
    public bool MustWait => Transport.IsSendBlocked || Transport.Writer.Pending >= SshLimits.OutputHighWater;

    public void Start()
    {
        lock (Gate)
            Transport.Start(Now);
        _ = SendLoopAsync();
        Flush();
    }

    /// <summary>Lets the send loop run if there is anything to send. Gate not held.</summary>
    public void Flush()
    {
        lock (Gate)
        {
            if ((Transport.Writer.Pending == 0 && !_stopping) || !_sendable.TryDisarm())
                return;
        }

        _sendable.Fire();
    }

    /// <summary>Finds the next packet in the bytes received. The payload is valid until <see cref="FillAsync"/>.</summary>
    public bool TryRead(out ReadOnlyMemory<byte> payload)
    {
        while (true)
        {
            var result = Transport.Read(_input.AsSpan(_start, _end - _start), out var consumed, out var start, out var length, out _needed);
            switch (result)
            {
                case SshReadResult.NeedMore:
                    payload = default;
                    return false;
                case SshReadResult.Packet:
                    payload = _input.AsMemory(_start + start, length);
                    _start += consumed;
                    return true;
                default:
                    _start += consumed;
                    break;
            }
        }
    }

    /// <summary>Receives at least one more byte.</summary>
    /// <exception cref="SshException">CONNECTION_LOST: the peer ended the stream.</exception>
    public async ValueTask FillAsync(CancellationToken cancellationToken)
    {
        MakeRoom();
        var count = await _stream.ReadAsync(_input.AsMemory(_end), cancellationToken).ConfigureAwait(false);
        if (count == 0)
            throw SshException.Lost("The peer closed the connection.");
        _wide = count >= SmallInput;
        _end += count;
    }

    /// <summary>During the handshake: the next payload for authentication. Valid until the next call.</summary>
    public async ValueTask<ReadOnlyMemory<byte>> ReceiveAsync(
        Func<SshHostKey, CancellationToken, ValueTask<bool>>? verifyHostKey,
        CancellationToken cancellationToken)
    {
        while (true)
        {
            if (!TryRead(out var payload))
            {
                Flush();
                await FillAsync(cancellationToken).ConfigureAwait(false);
                continue;
            }

            SshHandled handled;
            lock (Gate)
                handled = Transport.Handle(payload.Span, Now);
            if (handled == SshHandled.Upper)
                return payload;
            if (handled == SshHandled.VerifyHostKey)
            {
                if (!await verifyHostKey!(Transport.OfferedHostKey!, cancellationToken).ConfigureAwait(false))
                    throw new SshException(SshDisconnectReason.HostKeyNotVerifiable, "The server's host key is not the expected one.");
                lock (Gate)
                    Transport.AcceptHostKey();
            }
        }
    }

    /// <summary>
    /// The end: says DISCONNECT when <paramref name="farewell"/> is given, waits a moment for it to arrive, and closes
    /// the stream. A peer that does not read cannot hold this up.
    /// </summary>
    public async Task EndAsync(SshException? farewell)
    {
        lock (Gate)
        {
            if (farewell is not null && !_sendFailed)
                Transport.SendDisconnect(farewell.Reason, farewell.Message);
            _stopping = true;
        }

        Flush();
        using var deadline = new CancellationTokenSource(TimeSpan.FromMilliseconds(500), _time);
        try
        {
            await _sendEnded.Task.WaitAsync(deadline.Token).ConfigureAwait(false);
            // Closing a socket with unread input resets it, and the peer would lose the DISCONNECT: read on until it closes.
            if (farewell is not null && !_sendFailed)
            {
                MakeRoom();
                while (await _stream.ReadAsync(_input, deadline.Token).ConfigureAwait(false) > 0)
                {
                }
            }
        }
        catch (Exception error) when (error is OperationCanceledException or IOException or ObjectDisposedException or InvalidOperationException or NotSupportedException)
        {
            // The connection is over; how it failed to say goodbye is of no interest.
        }

        await _sendStop.CancelAsync().ConfigureAwait(false); // not disposed: the send loop may look at it once more
        try
        {
            await _stream.DisposeAsync().ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // The same.
        }

        Dispose();
    }

    public void Dispose()
    {
        lock (Gate)
        {
            Transport.Dispose();
            Scratch.Dispose();
        }

        if (_input.Length > 0)
            ArrayPool<byte>.Shared.Return(_input);
        _input = [];
        _start = _end = 0;
    }

    private async Task SendLoopAsync()
    {
        byte[]? taken = null;
        var inline = 0;
        var stop = _sendStop.Token;
        try
        {
            while (true)
            {
                ValueTask wait = default;
                var chunk = default(ArraySegment<byte>);
                lock (Gate)
                {
                    if (Transport.Writer.Pending > 0)
                    {
                        chunk = Transport.Writer.Take();
                        taken = chunk.Array;
                        Drained?.Invoke();
                    }
                    else if (_stopping)
                    {
                        break;
                    }
                    else
                    {
                        inline = 0;
                        wait = _sendable.ArmAsync(CancellationToken.None);
                    }
                }

                if (taken is null)
                {
                    await wait.ConfigureAwait(false);
                    continue;
                }

                // Whoever flushed runs this loop until a write has to wait; not for ever, though.
                if (++inline % InlineSends == 0)
                    await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                await _stream.WriteAsync(chunk, stop).ConfigureAwait(false);
                if (Transport.Writer.Pending == 0)
                    await _stream.FlushAsync(stop).ConfigureAwait(false);
                ArrayPool<byte>.Shared.Return(taken);
                taken = null;
            }
        }
        catch (Exception error)
        {
            // The array may still be in use by the failed write: it is left to the collector.
            lock (Gate)
                _sendFailed = true;
            SendFailed?.Invoke(error);
        }

        _sendEnded.TrySetResult();
    }

    // Room for at least one more byte, for the packet that is known to be coming, and for a large read on a busy
    // connection; an idle one gives its large buffer back.
    private void MakeRoom()
    {
        var have = _end - _start;
        var wanted = Math.Max(_wide ? LargeInput : SmallInput, Math.Max(_needed, have + 1));
        if (have == 0)
        {
            _start = _end = 0;
            if (_input.Length < wanted || _input.Length > 4 * wanted)
                Replace(wanted, 0);
            return;
        }

        var needed = Math.Max(_needed, have + 1);
        if (_input.Length - _start >= needed && _input.Length - _end >= _input.Length / 4)
            return;
        if (_input.Length >= wanted)
            Buffer.BlockCopy(_input, _start, _input, 0, have);
        else
            Replace(wanted, have);
        _start = 0;
        _end = have;
    }

    private void Replace(int wanted, int have)
    {
        var next = ArrayPool<byte>.Shared.Rent(wanted);
        Buffer.BlockCopy(_input, _start, next, 0, have);
        if (_input.Length > 0)
            ArrayPool<byte>.Shared.Return(_input);
        _input = next;
    }
}
