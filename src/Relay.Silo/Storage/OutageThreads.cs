namespace Relay.Silo.Storage;

/// <summary>
/// Threads for an outage. To give a statement up the driver tells the server so, over a connection that it opens on the spot, and blocks
/// meanwhile: where packets vanish, for as long as a connection may take. Statements end together, when the store is found to be lost and
/// when their time is over; on a pool that grows by a thread or two a second that stops the whole silo for many seconds, its signs of life
/// included, and the others declare it dead. So while the store is away the pool may have one thread more for each connection, at once.
/// Safe for concurrent use; the pool is the process's, and so is this.
/// </summary>
internal static class OutageThreads
{
    /// <summary>The driver's own limit of connections, and some that are in no pool.</summary>
    public const int Count = 120;

    private static readonly Lock Gate = new();
    private static int _outages;

    /// <summary>A store is away. Each is ended by <see cref="End"/>.</summary>
    public static void Begin() => Change(+1);

    /// <summary>It is back, or nobody waits for it any more.</summary>
    public static void End() => Change(-1);

    private static void Change(int outages)
    {
        lock (Gate)
        {
            var (before, now) = (_outages > 0, (_outages += outages) > 0);
            if (before == now)
                return;
            ThreadPool.GetMinThreads(out var workers, out var ports);
            ThreadPool.SetMinThreads(workers + (now ? Count : -Count), ports);
        }
    }
}
