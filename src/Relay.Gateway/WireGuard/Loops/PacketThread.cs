namespace Relay.Gateway.WireGuard.Loops;

/// <summary>A thread of its own that works until it is told to stop, which it looks at after each turn. Caller disposes: waits for its end.</summary>
internal sealed class PacketThread : IDisposable
{
    private readonly Thread _thread;
    private volatile bool _stops;

    /// <param name="name">For debuggers and <c>ps -T</c>.</param>
    /// <param name="turn">Waits for work, a quarter of a second at most, and does it.</param>
    /// <param name="failed">Told when a turn threw, which ends the thread.</param>
    public PacketThread(string name, Action turn, Action<Exception> failed)
    {
        _thread = new Thread(() =>
        {
            try
            {
                while (!_stops) turn();
            }
            catch (Exception e)
            {
                failed(e);
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
        _stops = true;
        _thread.Join();
    }
}
