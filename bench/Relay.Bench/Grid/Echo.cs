using System.Net;
using System.Net.Sockets;

namespace Relay.Bench.Grid;

/// <summary>A TCP service that sends back what it gets.</summary>
internal sealed class Echo : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Task _accepting;

    public Echo()
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

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = EchoAsync(await _listener.AcceptTcpClientAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private static async Task EchoAsync(TcpClient client)
    {
        try
        {
            using (client)
            await using (var stream = client.GetStream())
                await stream.CopyToAsync(stream);
        }
        catch (IOException)
        {
            // Reset: that is what a revocation does.
        }
    }
}
