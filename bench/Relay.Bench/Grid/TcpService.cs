using System.Net;
using System.Net.Sockets;

namespace Relay.Bench.Grid;

/// <summary>A TCP service on a loopback port of the system's choice.</summary>
internal abstract class TcpService : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Task _accepting;

    protected TcpService()
    {
        _listener.Start(1024);
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        await _accepting;
    }

    /// <summary>Serves one connection; it is closed afterwards.</summary>
    protected abstract Task ServeAsync(Socket socket);

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = ServeToItsEndAsync(await _listener.AcceptSocketAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private async Task ServeToItsEndAsync(Socket socket)
    {
        try
        {
            using (socket)
                await ServeAsync(socket);
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            // Reset: that is what a revocation does. What is missing the other side of the benchmark says.
        }
    }
}
