using Orleans.Runtime;

namespace Relay.GrainHost.Links;

/// <summary>
/// The sending half of a link: frames are copied into one buffer while the other is being written, so that many small frames
/// leave in one write. At most one write is under way. Safe for concurrent use.
/// </summary>
internal sealed class FrameSender(Stream stream, int maxQueuedBytes, Action<Exception> failed) : IThreadPoolWorkItem
{
    private const int RetainedBytes = 256 * 1024;

    private readonly Lock _lock = new();
    private byte[] _filling = new byte[16 * 1024];
    private byte[] _writing = new byte[16 * 1024];
    private int _filled;
    private bool _running;
    private Exception? _error;
    private TaskCompletionSource? _room;

    /// <summary>Queues a frame. False: too much waits already; await <see cref="WaitForRoomAsync"/> and try again.</summary>
    /// <exception cref="SiloUnavailableException">The link is down.</exception>
    public bool TrySend(ReadOnlySpan<byte> frame)
    {
        lock (_lock)
        {
            ThrowIfDown();
            if (_filled > 0 && _filled + frame.Length > maxQueuedBytes) return false;
            Append(frame);
            if (_running) return true;
            _running = true;
        }

        // To the end of the pool's global queue: callers that are about to send get their frames into the same write.
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        return true;
    }

    /// <summary>Queues a frame past the limit: for answers, whose number the reader of the calls limits. Ignored when the link is down.</summary>
    public void SendAnswer(ReadOnlySpan<byte> frame)
    {
        lock (_lock)
        {
            if (_error is not null) return;
            Append(frame);
            if (_running) return;
            _running = true;
        }

        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>Completes when less than the limit waits, or the link is down.</summary>
    public Task WaitForRoomAsync()
    {
        lock (_lock)
        {
            if (_error is not null || _filled < maxQueuedBytes / 2) return Task.CompletedTask;
            return (_room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    /// <summary>Nothing more is sent.</summary>
    public void Close(Exception error)
    {
        TaskCompletionSource? room;
        lock (_lock)
        {
            _error ??= error;
            _filled = 0;
            room = _room;
            _room = null;
        }

        room?.TrySetResult();
    }

    void IThreadPoolWorkItem.Execute() => _ = SendAsync();

    private void ThrowIfDown()
    {
        if (_error is not null) throw new SiloUnavailableException(_error.Message, _error);
    }

    private void Append(ReadOnlySpan<byte> frame)
    {
        if (_filling.Length - _filled < frame.Length)
            Array.Resize(ref _filling, Math.Max(_filling.Length * 2, _filled + frame.Length));
        frame.CopyTo(_filling.AsSpan(_filled));
        _filled += frame.Length;
    }

    private async Task SendAsync()
    {
        try
        {
            while (true)
            {
                int count;
                TaskCompletionSource? room;
                lock (_lock)
                {
                    if (_filled == 0)
                    {
                        _running = false;
                        return;
                    }

                    (_filling, _writing) = (_writing, _filling);
                    count = _filled;
                    _filled = 0;
                    room = _room;
                    _room = null;
                }

                room?.TrySetResult();
                await stream.WriteAsync(_writing.AsMemory(0, count)).ConfigureAwait(false);
                await stream.FlushAsync().ConfigureAwait(false);
                // What one burst has grown is let go.
                if (_writing.Length > RetainedBytes) _writing = new byte[16 * 1024];
            }
        }
        catch (Exception e)
        {
            failed(e);
        }
    }
}
