using System.Buffers;
using System.Net.Sockets;
using Relay.Protocol.Tunnel;

namespace Relay.Connector.Targets;

/// <summary>How a stream of datagrams ended.</summary>
internal enum DatagramRelayEnding
{
    /// <summary>The user's side ended it, or nothing moved for the idle time.</summary>
    Completed = 0,

    /// <summary>The user's side was reset.</summary>
    UserAborted,

    /// <summary>The user's side sent what is no framed datagram.</summary>
    Malformed,

    /// <summary>The target's host says that nothing listens there, and nothing had ever answered.</summary>
    Refused,
}

/// <summary>
/// Joins a stream of framed datagrams with a UDP socket that is connected to the target. What the target sends while the stream is
/// congested waits in the kernel's buffer and is dropped there; what the kernel does not take is dropped. Waiting holds no buffer.
/// Runs once; the caller disposes both.
/// </summary>
/// <param name="stream">The user's side.</param>
/// <param name="socket">Connected, not blocking.</param>
/// <param name="idle">It ends when nothing has moved for so long.</param>
/// <param name="time">Measures that.</param>
internal sealed class DatagramRelay(DuplexStream stream, Socket socket, TimeSpan idle, TimeProvider time)
{
    // Datagrams that are there at once go out as one write, so that they share the stream's frames and one call of the kernel each hop.
    private const int BatchBytes = 128 * 1024;

    private long _movedAt = time.GetTimestamp();
    private long _bytesUp;
    private long _bytesDown;
    private volatile bool _answered;

    /// <summary>Payload that went to the target.</summary>
    public long BytesUp => Interlocked.Read(ref _bytesUp);

    /// <summary>Payload that came from it.</summary>
    public long BytesDown => Interlocked.Read(ref _bytesDown);

    /// <summary>Runs until either side is over. Never throws.</summary>
    public async Task<DatagramRelayEnding> RunAsync()
    {
        using var over = new CancellationTokenSource();
        Task<DatagramRelayEnding> up = UpAsync(over.Token), down = DownAsync(over.Token), quiet = IdleAsync(over.Token);
        var ending = await await Task.WhenAny(up, down, quiet);
        await over.CancelAsync();
        if (ending == DatagramRelayEnding.Completed)
            await stream.CompleteWritesAsync().AsTask().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        else
            stream.Abort(ending.ToString());
        await Task.WhenAll(up, down, quiet);
        return ending;
    }

    private async Task<DatagramRelayEnding> UpAsync(CancellationToken over)
    {
        using var reader = new DatagramReader();
        try
        {
            while (true)
            {
                if (reader.Pending == 0)
                    _ = await stream.ReadAsync(Memory<byte>.Empty, over);
                var read = await stream.ReadAsync(reader.Room(), over);
                if (read == 0)
                    return DatagramRelayEnding.Completed;
                reader.Advance(read);
                while (reader.TryRead(out var datagram) is var found && found != DatagramReading.NeedsMore)
                {
                    if (found == DatagramReading.TooLong)
                        return DatagramRelayEnding.Malformed;
                    if (!TrySend(datagram))
                        return DatagramRelayEnding.Refused;
                }
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            return DatagramRelayEnding.UserAborted;
        }
    }

    private async Task<DatagramRelayEnding> DownAsync(CancellationToken over)
    {
        var batch = Array.Empty<byte>();
        var used = 0;
        try
        {
            while (true)
            {
                if (!await WaitAsync(over))
                    return DatagramRelayEnding.Refused;
                batch = ArrayPool<byte>.Shared.Rent(BatchBytes);
                while ((used = Receive(batch, out var refused)) > 0 || refused)
                {
                    if (refused)
                        return DatagramRelayEnding.Refused;
                    await stream.WriteAsync(batch.AsMemory(0, used), over);
                }

                Return(ref batch);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            return DatagramRelayEnding.UserAborted;
        }
        finally
        {
            Return(ref batch);
        }
    }

    /// <summary>False: the target refuses.</summary>
    private async ValueTask<bool> WaitAsync(CancellationToken over)
    {
        try
        {
            // An empty buffer waits and takes nothing.
            await socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, over);
        }
        catch (SocketException e)
        {
            return !IsRefusal(e.SocketErrorCode);
        }

        return true;
    }

    private async Task<DatagramRelayEnding> IdleAsync(CancellationToken over)
    {
        using var timer = new PeriodicTimer(idle / 10, time);
        try
        {
            while (await timer.WaitForNextTickAsync(over))
            {
                if (time.GetElapsedTime(Volatile.Read(ref _movedAt)) >= idle)
                    return DatagramRelayEnding.Completed;
            }
        }
        catch (OperationCanceledException)
        {
            // Over for another reason.
        }

        return DatagramRelayEnding.Completed;
    }

    /// <summary>False: the target refuses. What the kernel does not take is lost, as on any network.</summary>
    private bool TrySend(ReadOnlySpan<byte> datagram)
    {
        Volatile.Write(ref _movedAt, time.GetTimestamp());
        socket.Send(datagram, SocketFlags.None, out var error);
        if (error == SocketError.ConnectionRefused)
        {
            // It was about an earlier one, and this one was not sent.
            if (!_answered)
                return false;
            socket.Send(datagram, SocketFlags.None, out error);
        }

        if (error == SocketError.Success)
            Interlocked.Add(ref _bytesUp, datagram.Length);
        return true;
    }

    /// <summary>Frames what has come, as much as there is room for; returns the bytes used.</summary>
    private int Receive(byte[] batch, out bool refused)
    {
        refused = false;
        var used = 0;
        // One byte more than datagrams have here, to see the longer ones that IPv6 allows: those are lost.
        while (batch.Length - used > DatagramFraming.MaxFrameBytes)
        {
            var length = socket.Receive(batch.AsSpan(used + DatagramFraming.HeaderBytes, DatagramFraming.MaxBytes + 1), SocketFlags.None, out var error);
            if (error != SocketError.Success)
            {
                refused = IsRefusal(error);
                break;
            }

            _answered = true;
            if (!DatagramFraming.TryWrite(batch.AsSpan(used + DatagramFraming.HeaderBytes, length), batch.AsSpan(used), out var written))
                continue;
            used += written;
            Interlocked.Add(ref _bytesDown, length);
        }

        if (used > 0)
            Volatile.Write(ref _movedAt, time.GetTimestamp());
        return used;
    }

    // A target that has answered before is being restarted: it may be there again in a moment.
    private bool IsRefusal(SocketError error) => error == SocketError.ConnectionRefused && !_answered;

    // SECURITY: what a session sent must not show up in the next renter's buffer.
    private static void Return(ref byte[] batch)
    {
        if (batch.Length == 0)
            return;
        ArrayPool<byte>.Shared.Return(batch, clearArray: true);
        batch = [];
    }
}
