using System.Buffers;

namespace Relay.Protocol.Tunnel;

/// <summary>How a pumped pair of streams ended.</summary>
public enum StreamPumpEnding
{
    /// <summary>Both directions ended in order.</summary>
    Completed = 0,

    /// <summary>The first stream was reset or failed.</summary>
    FirstAborted,

    /// <summary>The second stream was reset or failed.</summary>
    SecondAborted,

    /// <summary>The caller cancelled.</summary>
    Cancelled,
}

/// <summary>Bytes moved so far; may be read while the pump runs.</summary>
public class StreamPumpCounters
{
    private long _firstToSecond;
    private long _secondToFirst;

    /// <summary>Bytes read from the first stream and written to the second.</summary>
    public long FirstToSecond => Interlocked.Read(ref _firstToSecond);

    /// <summary>Bytes read from the second stream and written to the first.</summary>
    public long SecondToFirst => Interlocked.Read(ref _secondToFirst);

    /// <summary>Looks at what was read and is to be written. False: it must not be, and both streams are reset.</summary>
    /// <param name="fromFirst">The direction.</param>
    /// <param name="bytes">What was read.</param>
    /// <param name="count">How much of it counts.</param>
    internal virtual bool TryTake(bool fromFirst, ReadOnlySpan<byte> bytes, out int count)
    {
        count = bytes.Length;
        return true;
    }

    internal void Add(bool fromFirst, int bytes)
    {
        // One writer each; the interlocked form is for 64-bit readers on another thread.
        if (fromFirst)
        {
            Interlocked.Add(ref _firstToSecond, bytes);
        }
        else
        {
            Interlocked.Add(ref _secondToFirst, bytes);
        }
    }
}

/// <summary>
/// Joins two duplex streams. Each direction ends alone: the reader's end becomes the writer's half-close.
/// A reset on either stream resets the other. An idle pump holds no buffer; a busy one holds one per direction.
/// </summary>
public static class StreamPump
{
    private const int SmallBuffer = 64 * 1024;
    private const int LargeBuffer = 256 * 1024;

    // A shorter read is somebody typing, not a transfer: the next wait is without a buffer. Below any full HTTP/2 frame or TLS record.
    private const int IdleRead = 2 * 1024;

    // A stream that stopped taking bytes may still have some to give. How long nothing of that may move before it is over.
    private static readonly TimeSpan LastWords = TimeSpan.FromSeconds(30);

    /// <summary>Runs until both directions are over. Never throws; the caller disposes both streams.</summary>
    /// <param name="first">One stream.</param>
    /// <param name="second">The other.</param>
    /// <param name="counters">Counts while it runs; null: nobody looks.</param>
    /// <param name="cancellationToken">Resets both streams.</param>
    public static async Task<StreamPumpEnding> RunAsync(DuplexStream first, DuplexStream second, StreamPumpCounters? counters = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        counters ??= new StreamPumpCounters();
        using var cancelled = cancellationToken.UnsafeRegister(
            static s =>
            {
                var (a, b) = ((DuplexStream, DuplexStream))s!;
                a.Abort("cancelled");
                b.Abort("cancelled");
            },
            (first, second));

        // A stream that is neither read nor written just now still says when it is reset.
        var blame = new Blame();
        using var firstGone = first.Aborted.UnsafeRegister(
            static s =>
            {
                var (blame, other) = ((Blame, DuplexStream))s!;
                blame.Put(StreamPumpEnding.FirstAborted);
                other.Abort("the other side was reset");
            },
            (blame, second));
        using var secondGone = second.Aborted.UnsafeRegister(
            static s =>
            {
                var (blame, other) = ((Blame, DuplexStream))s!;
                blame.Put(StreamPumpEnding.SecondAborted);
                other.Abort("the other side was reset");
            },
            (blame, first));

        var forth = CopyAsync(first, second, counters, fromFirst: true);
        var back = CopyAsync(second, first, counters, fromFirst: false);
        var leader = await Task.WhenAny(forth, back).ConfigureAwait(false);
        var follower = leader == forth ? back : forth;
        var end = await leader.ConfigureAwait(false);
        Judge(blame, end, leader == forth);
        if (end == CopyEnd.Done)
        {
            Judge(blame, await follower.ConfigureAwait(false), follower == forth);
        }
        else if (end == CopyEnd.WriteFailed)
        {
            // The reader of that stream learns its end by itself; what it sent before must not be cut off.
            await WaitWhileMovingAsync(follower, counters).ConfigureAwait(false);
        }

        if (blame.Ending != StreamPumpEnding.Completed)
        {
            first.Abort("the other side was reset");
            second.Abort("the other side was reset");
            await follower.ConfigureAwait(false);
        }

        return cancellationToken.IsCancellationRequested && blame.Ending != StreamPumpEnding.Completed ? StreamPumpEnding.Cancelled : blame.Ending;
    }

    private static async Task WaitWhileMovingAsync(Task direction, StreamPumpCounters counters)
    {
        long moved;
        do
        {
            moved = counters.FirstToSecond + counters.SecondToFirst;
            await direction.WaitAsync(LastWords, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        while (!direction.IsCompleted && moved != counters.FirstToSecond + counters.SecondToFirst);
    }

    private static void Judge(Blame blame, CopyEnd end, bool fromFirst)
    {
        if (end != CopyEnd.Done)
        {
            blame.Put((end == CopyEnd.ReadFailed) == fromFirst ? StreamPumpEnding.FirstAborted : StreamPumpEnding.SecondAborted);
        }
    }

    private static async Task<CopyEnd> CopyAsync(DuplexStream from, DuplexStream to, StreamPumpCounters counters, bool fromFirst)
    {
        byte[]? buffer = null;
        var size = SmallBuffer;
        var used = 0;
        var reading = true;
        try
        {
            while (true)
            {
                reading = true;
                if (buffer is null)
                {
                    // An empty read waits without a buffer: an idle stream costs none.
                    await from.ReadAsync(Memory<byte>.Empty).ConfigureAwait(false);
                    buffer = ArrayPool<byte>.Shared.Rent(size);
                }

                var read = await from.ReadAsync(buffer).ConfigureAwait(false);
                reading = false;
                if (read == 0)
                {
                    await to.CompleteWritesAsync().ConfigureAwait(false);
                    return CopyEnd.Done;
                }

                used = Math.Max(used, read);
                if (!counters.TryTake(fromFirst, buffer.AsSpan(0, read), out var count))
                {
                    return CopyEnd.ReadFailed;
                }

                await to.WriteAsync(buffer.AsMemory(0, read)).ConfigureAwait(false);
                counters.Add(fromFirst, count);
                if (read < IdleRead)
                {
                    Return(ref buffer, ref used);
                    size = SmallBuffer;
                }
                else if (read == buffer.Length && size < LargeBuffer)
                {
                    Return(ref buffer, ref used);
                    buffer = ArrayPool<byte>.Shared.Rent(size = LargeBuffer);
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException or InvalidOperationException)
        {
            return reading ? CopyEnd.ReadFailed : CopyEnd.WriteFailed;
        }
        finally
        {
            if (buffer is not null)
            {
                Return(ref buffer, ref used);
            }
        }
    }

    // SECURITY: what a session sent must not show up in the next renter's buffer; only the used part needs wiping.
    private static void Return(ref byte[]? buffer, ref int used)
    {
        buffer.AsSpan(0, used).Clear();
        ArrayPool<byte>.Shared.Return(buffer!);
        buffer = null;
        used = 0;
    }

    private enum CopyEnd
    {
        Done,
        ReadFailed,
        WriteFailed,
    }

    /// <summary>Who ended it: the first one named. The others only followed.</summary>
    private sealed class Blame
    {
        private int _ending;

        public StreamPumpEnding Ending => (StreamPumpEnding)Volatile.Read(ref _ending);

        public void Put(StreamPumpEnding ending) => Interlocked.CompareExchange(ref _ending, (int)ending, (int)StreamPumpEnding.Completed);
    }
}
