using System.Net;
using System.Net.Sockets;

namespace Relay.EndToEndTests;

/// <summary>A TCP service that sends back what it gets and ends after the client has.</summary>
public sealed class TcpEcho : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Task _accepting;

    public TcpEcho()
    {
        _listener.Start();
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
        using (client)
        await using (var stream = client.GetStream())
            await stream.CopyToAsync(stream);
    }
}
