namespace Relay.Silo.Storage;

/// <summary>
/// Cancels on threads of its own. To give a statement up the driver tells the server so, over a connection that it opens on the spot, and
/// blocks meanwhile: where packets vanish, for as long as a connection may take. Everything that waits for the store ends in the same
/// moment; on the pool's threads that would stop the whole silo for many seconds, its signs of life included. Safe for concurrent use.
/// </summary>
internal static class GiveUp
{
    // As many as there are connections: only a statement on its way blocks.
    private const int MaxThreads = 100;

    private static readonly Lock Gate = new();
    private static readonly Queue<CancellationTokenSource> Waiting = new();
    private static int _threads;

    /// <summary>Returns at once.</summary>
    public static void Cancel(CancellationTokenSource source)
    {
        lock (Gate)
        {
            Waiting.Enqueue(source);
            if (_threads == MaxThreads)
                return;
            _threads++;
        }

        new Thread(Work, 256 * 1024) { IsBackground = true, Name = "relay give up" }.Start();
    }

    private static void Work()
    {
        while (true)
        {
            CancellationTokenSource? source;
            lock (Gate)
            {
                if (!Waiting.TryDequeue(out source))
                {
                    _threads--;
                    return;
                }
            }

            try
            {
                source.Cancel();
            }
            catch (Exception e) when (e is AggregateException or ObjectDisposedException)
            {
                // Whoever waits has its own answer.
            }
        }
    }
}
