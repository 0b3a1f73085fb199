using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Relay.Connector.BuiltInSsh;

/// <summary>
/// Asynchronous reading and writing on a pipe's end or a pseudo-terminal's master. One reader and one writer at a time.
/// Owns the descriptor; disposing while an operation waits ends that operation.
/// </summary>
internal sealed class DescriptorStream : IDisposable
{
    private readonly Readiness _readable = new();
    private readonly Readiness _writable = new();
    // Holds the descriptor open while a call is in it: its number could otherwise be somebody else's by then.
    private readonly SafeFileHandle _handle;
    private int _closed;

    public DescriptorStream(int descriptor)
    {
        Descriptor = descriptor;
        _handle = new SafeFileHandle(descriptor, ownsHandle: true);
        _ = Posix.Control(descriptor, Posix.F_SETFL, Posix.O_NONBLOCK);
        DescriptorPoller.Shared.Add(this);
    }

    public int Descriptor { get; }

    /// <summary>0: the other side has ended (also: closed its terminal).</summary>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        while (true)
        {
            var read = TryRead(buffer.Span);
            if (read >= 0)
                return read;
            await _readable.WaitAsync(cancellationToken);
        }
    }

    /// <summary>What can be read without waiting; -1: nothing now.</summary>
    public unsafe int TryRead(Span<byte> buffer)
    {
        while (true)
        {
            if (Volatile.Read(ref _closed) != 0)
                return 0;
            nint read;
            try
            {
                fixed (byte* start = buffer)
                    read = Posix.Read(_handle, start, (nuint)buffer.Length);
            }
            catch (ObjectDisposedException)
            {
                return 0;
            }
            if (read >= 0)
                return (int)read;
            switch (Marshal.GetLastPInvokeError())
            {
                case Posix.EINTR: continue;
                case Posix.EAGAIN: return -1;
                // A master answers EIO once nobody has the terminal open: its end of file.
                default: return 0;
            }
        }
    }

    /// <summary>False: the other side does not read any more.</summary>
    public async ValueTask<bool> WriteAsync(ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        while (data.Length > 0)
        {
            var written = TryWrite(data.Span, out var gone);
            if (gone)
                return false;
            if (written == 0)
                await _writable.WaitAsync(cancellationToken);
            data = data[written..];
        }
        return true;
    }

    public void OnReady(bool readable, bool writable)
    {
        if (readable)
            _readable.Set();
        if (writable)
            _writable.Set();
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _closed, 1) != 0)
            return;
        DescriptorPoller.Shared.Remove(this);
        _handle.Dispose();
        _readable.Set();
        _writable.Set();
    }

    private unsafe int TryWrite(ReadOnlySpan<byte> data, out bool gone)
    {
        gone = false;
        while (true)
        {
            if (Volatile.Read(ref _closed) != 0)
            {
                gone = true;
                return 0;
            }
            nint written;
            try
            {
                fixed (byte* start = data)
                    written = Posix.Write(_handle, start, (nuint)data.Length);
            }
            catch (ObjectDisposedException)
            {
                gone = true;
                return 0;
            }
            if (written >= 0)
                return (int)written;
            switch (Marshal.GetLastPInvokeError())
            {
                case Posix.EINTR: continue;
                case Posix.EAGAIN: return 0;
                default:
                    gone = true;
                    return 0;
            }
        }
    }

    /// <summary>Remembers one "ready" until somebody has waited for it. One waiter at a time.</summary>
    private sealed class Readiness
    {
        private readonly Lock _gate = new();
        private TaskCompletionSource? _waiter;
        private bool _ready;

        public void Set()
        {
            TaskCompletionSource? waiter;
            lock (_gate)
            {
                waiter = _waiter;
                _waiter = null;
                _ready = waiter is null;
            }
            waiter?.TrySetResult();
        }

        public Task WaitAsync(CancellationToken cancellationToken)
        {
            lock (_gate)
            {
                if (_ready)
                {
                    _ready = false;
                    return Task.CompletedTask;
                }
                _waiter = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                return _waiter.Task.WaitAsync(cancellationToken);
            }
        }
    }
}
