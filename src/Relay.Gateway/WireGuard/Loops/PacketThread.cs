namespace Relay.Gateway.WireGuard.Loops;

/// <summary>A thread of its own that works until it is told to stop, which it looks at after each turn. Caller disposes: waits for its end.</summary>
internal sealed class PacketThread : IDisposable
{
    // A fault that repeats must not fill the log or the processor.
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(100);

    private readonly Thread _thread;
    private readonly ManualResetEventSlim _stop = new();

    /// <param name="name">For debuggers and <c>ps -T</c>.</param>
    /// <param name="turn">Waits for work, a quarter of a second at most, and does it.</param>
    /// <param name="failed">Told when a turn threw. What it was about is lost, as packets may be; the thread goes on (L14).</param>
    public PacketThread(string name, Action turn, Action<Exception> failed)
    {
        _thread = new Thread(() =>
        {
            while (!_stop.IsSet)
            {
                try
                {
                    turn();
                }
                catch (Exception e)
                {
                    failed(e);
                    _stop.Wait(s_pause);
                }
            }
        })
        {
            Name = name,
            IsBackground = true,
        };
        _thread.Start();
    }

    public void Dispose()
    {
        _stop.Set();
        _thread.Join();
        _stop.Dispose();
    }
}
