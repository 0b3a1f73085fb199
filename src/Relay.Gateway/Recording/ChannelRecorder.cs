using System.IO.Compression;

namespace Relay.Gateway.Recording;

/// <summary>
/// Records one session channel as asciicast v2. Events go into a batch; a batch is shipped at 64 KiB or one second after
/// its first byte, so a killed gateway loses at most the last second. One chunk is under way at a time, in order; a writer
/// waits while the batch behind it is full (back-pressure, never an unbounded queue).
/// Safe for concurrent use by the two directions of the channel.
/// </summary>
internal sealed class ChannelRecorder : IAsyncDisposable
{
    public static readonly TimeSpan FlushInterval = TimeSpan.FromSeconds(1);

    /// <summary>A batch this big is shipped at once.</summary>
    public const int FlushBytes = 64 * 1024;

    /// <summary>A batch this big makes its writers wait. With the largest event on top it stays below the silo's 256 KiB per chunk even if nothing compresses.</summary>
    public const int MaxBatchBytes = 160 * 1024;

    /// <summary>Data is encoded in pieces: an event of control characters grows sixfold.</summary>
    private const int MaxEventBytes = 8 * 1024;

    /// <summary>Without a terminal, output beyond this is counted, not kept: bulk transfers stay fast.</summary>
    public const long BulkCapBytes = 1024 * 1024;

    // gzip of nothing, RFC 1952: the last chunk of a channel that was silent for its last second. GZipStream would write no byte.
    private static readonly byte[] s_nothing = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    private readonly Lock _lock = new();
    private readonly IRecordingStore _store;
    private readonly int _number;
    private readonly string _title;
    private readonly bool _bulk;
    private readonly TimeProvider _time;
    private readonly long _startedAt;
    private readonly InputMask? _mask;
    private readonly Action<RecordingFailedException> _onFailed;
    private readonly Task _shipping;
    private PooledBatch _batch = new();
    private Utf8Carry _stdout, _stderr, _stdin;
    private long _outputBytes, _inputBytes;
    private bool _completed;
    private RecordingFailedException? _failure;
    private TaskCompletionSource _wake = NewSignal(); // the batch is not empty, or the channel has ended
    private TaskCompletionSource? _full;              // it need not wait for its second
    private TaskCompletionSource? _room;              // what writers of an over-full batch wait for

    /// <param name="recordInput">Policy asks for what the user types.</param>
    /// <param name="onFailed">Called once, from the shipping task, when the recording can not go on.</param>
    public ChannelRecorder(IRecordingStore store, int number, AsciicastHeader header, bool terminal, bool recordInput, TimeProvider time, Action<RecordingFailedException> onFailed)
    {
        (_store, _number, _title, _time, _onFailed) = (store, number, header.Title, time, onFailed);
        _bulk = !terminal;
        _mask = recordInput ? new InputMask(terminal) : null;
        _startedAt = time.GetTimestamp();
        AsciicastEncoder.WriteHeader(_batch, header);
        _wake.SetResult();
        _shipping = ShipAsync();
    }

    /// <summary>Records output. Waits only when the store lags behind.</summary>
    /// <exception cref="RecordingFailedException">The recording has failed; nothing more may pass.</exception>
    public ValueTask OutputAsync(ReadOnlyMemory<byte> data, bool stderr)
    {
        lock (_lock)
        {
            ThrowIfFailed();
            var at = _time.GetElapsedTime(_startedAt);
            if (_mask is not null)
            {
                Settle(_mask.OnOutput(data.Span), at);
            }

            WriteData(at, 'o', Capped(data.Span, ref _outputBytes), ref stderr ? ref _stderr : ref _stdout);
            return Wrote();
        }
    }

    /// <summary>Records what the user sent, when policy says so; otherwise does nothing.</summary>
    /// <exception cref="RecordingFailedException">The recording has failed; nothing more may pass.</exception>
    public ValueTask InputAsync(ReadOnlyMemory<byte> data)
    {
        lock (_lock)
        {
            ThrowIfFailed();
            if (_mask is null)
            {
                _inputBytes += data.Length;
                return ValueTask.CompletedTask;
            }

            Settle(_mask.OnInput(Capped(data.Span, ref _inputBytes)), _time.GetElapsedTime(_startedAt));
            return Wrote();
        }
    }

    public void Resize(int columns, int rows) => Event('r', $"{columns}x{rows}");

    public void Marker(string text) => Event('m', text);

    /// <summary>Writes the end and waits until everything is stored.</summary>
    /// <exception cref="RecordingFailedException">Something was not stored.</exception>
    public async ValueTask CompleteAsync()
    {
        lock (_lock)
        {
            if (!_completed)
            {
                var at = _time.GetElapsedTime(_startedAt);
                if (_mask is not null)
                {
                    Settle(_mask.OnEnd(), at);
                }

                Flush(at, 'o', ref _stdout);
                Flush(at, 'o', ref _stderr);
                Flush(at, 'i', ref _stdin);
                if (_bulk && (_outputBytes > BulkCapBytes || (_mask is not null && _inputBytes > BulkCapBytes)))
                {
                    AsciicastEncoder.WriteEvent(_batch, at, 'm', $"not recorded beyond {BulkCapBytes} bytes; in all {_outputBytes} bytes out, {_inputBytes} bytes in");
                }

                _completed = true;
                _wake.TrySetResult();
                _full?.TrySetResult();
            }
        }

        await _shipping;
        lock (_lock)
        {
            ThrowIfFailed();
        }
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await CompleteAsync();
        }
        catch (RecordingFailedException)
        {
            // Reported through onFailed already.
        }

        _mask?.Dispose();
        _batch.Dispose();
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void Event(char code, string text)
    {
        lock (_lock)
        {
            if (_failure is null && !_completed)
            {
                AsciicastEncoder.WriteEvent(_batch, _time.GetElapsedTime(_startedAt), code, text);
                _wake.TrySetResult();
            }
        }
    }

    private void ThrowIfFailed()
    {
        if (_failure is not null)
        {
            throw _failure;
        }
    }

    private ReadOnlySpan<byte> Capped(ReadOnlySpan<byte> data, ref long total)
    {
        var before = total;
        total += data.Length;
        if (!_bulk)
        {
            return data;
        }

        var left = Math.Max(0, BulkCapBytes - before);
        return data.Length <= left ? data : data[..(int)left];
    }

    private void Settle(InputVerdict verdict, TimeSpan at)
    {
        if (verdict == InputVerdict.Hold)
        {
            return;
        }

        if (verdict == InputVerdict.Reveal)
        {
            WriteData(at, 'i', _mask!.Held.Span, ref _stdin);
        }
        else
        {
            // A fixed text: the length of a password is nobody's business either.
            AsciicastEncoder.WriteEvent(_batch, at, 'i', "[hidden]\r");
        }

        _mask!.Forget();
    }

    private void WriteData(TimeSpan at, char code, ReadOnlySpan<byte> data, ref Utf8Carry carry)
    {
        while (!data.IsEmpty)
        {
            var piece = data.Length <= MaxEventBytes ? data : data[..MaxEventBytes];
            AsciicastEncoder.WriteEvent(_batch, at, code, piece, ref carry);
            data = data[piece.Length..];
        }
    }

    private void Flush(TimeSpan at, char code, ref Utf8Carry carry)
    {
        if (carry.Count > 0)
        {
            carry = default;
            AsciicastEncoder.WriteEvent(_batch, at, code, "\ufffd");
        }
    }

    // Under the lock.
    private ValueTask Wrote()
    {
        if (_batch.Length > 0)
        {
            _wake.TrySetResult();
        }

        if (_batch.Length < FlushBytes)
        {
            return ValueTask.CompletedTask;
        }

        _full?.TrySetResult();
        if (_batch.Length < MaxBatchBytes)
        {
            return ValueTask.CompletedTask;
        }

        _room ??= NewSignal();
        return new ValueTask(_room.Task);
    }

    private async Task ShipAsync()
    {
        await Task.Yield();
        var sequence = 0;
        try
        {
            while (true)
            {
                await _wake.Task;
                await WaitForBatchAsync();
                PooledBatch batch;
                bool last;
                lock (_lock)
                {
                    (batch, _batch) = (_batch, new PooledBatch());
                    last = _completed;
                    _wake = NewSignal();
                    if (last)
                    {
                        _wake.SetResult();
                    }

                    _full = null;
                    _room?.SetResult();
                    _room = null;
                }

                using (batch)
                {
                    await _store.StoreAsync(_number, sequence, Compress(batch.Written), sequence == 0 ? _title : null, last, CancellationToken.None);
                }

                sequence++;
                if (last)
                {
                    return;
                }
            }
        }
        catch (Exception e)
        {
            var failure = e as RecordingFailedException ?? new RecordingFailedException("The recording could not be stored.", e);
            lock (_lock)
            {
                _failure = failure;
                _room?.SetException(failure);
                _room = null;
            }

            _onFailed(failure);
        }
    }

    // Until the batch is full, the channel has ended, or a second has passed since the batch's first byte.
    private async Task WaitForBatchAsync()
    {
        Task full;
        lock (_lock)
        {
            if (_completed || _batch.Length >= FlushBytes)
            {
                return;
            }

            _full = NewSignal();
            full = _full.Task;
        }

        using var timer = new CancellationTokenSource();
        await Task.WhenAny(full, Task.Delay(FlushInterval, _time, timer.Token));
        await timer.CancelAsync();
    }

    private static ReadOnlyMemory<byte> Compress(ReadOnlyMemory<byte> lines)
    {
        if (lines.IsEmpty)
        {
            return s_nothing;
        }

        using var output = new MemoryStream(4096);
        using (var gzip = new GZipStream(output, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(lines.Span);
        }

        return output.GetBuffer().AsMemory(0, (int)output.Length);
    }
}
