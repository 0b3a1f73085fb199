using System.Net;
using System.Net.Sockets;

namespace Relay.Tests.Silo.Sessions;

/// <summary>A TCP target on a free port; the test accepts by hand.</summary>
internal sealed class TargetServer : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public TargetServer() => _listener.Start();

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public Task<Socket> AcceptAsync() => _listener.AcceptSocketAsync(TestContext.Current.CancellationToken).AsTask();

    /// <summary>Returns when the peer has ended the connection, in order or by reset.</summary>
    public static async Task EndAsync(Socket socket)
    {
        try
        {
            while (await socket.ReceiveAsync(new byte[4096], TestContext.Current.CancellationToken) > 0)
            {
            }
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // That is an end, too.
        }
    }

    public void Dispose() => _listener.Dispose();
}
