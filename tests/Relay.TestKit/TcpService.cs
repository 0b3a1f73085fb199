using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Relay.TestKit;

/// <summary>A TCP service on loopback that does with each connection what it is told, and then closes it.</summary>
public sealed class TcpService : IAsyncDisposable
{
    private readonly Socket _listener;
    private readonly Func<Socket, Task> _serve;
    private readonly Task _accepting;

    /// <param name="network">On the loopback of that namespace; null: this one's.</param>
    public TcpService(Func<Socket, Task> serve, NetworkNamespace? network = null)
    {
        _serve = serve;
        _listener = network?.CreateSocket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) ?? new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(1024);
        Port = ((IPEndPoint)_listener.LocalEndPoint!).Port;
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    /// <summary>Sends back what it gets and ends after the client has.</summary>
    public static TcpService Echo(NetworkNamespace? network = null) => new(async socket =>
    {
        await using var stream = new NetworkStream(socket);
        await stream.CopyToAsync(stream);
    }, network);

    /// <summary>Says the SHA-256 of what it got, once the client has ended.</summary>
    public static TcpService Hash() => new(async socket =>
    {
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.ASCII.GetBytes(Convert.ToHexStringLower(await SHA256.HashDataAsync(stream))));
    });

    /// <summary>Joins each connection with a Unix socket, such as a private PostgreSQL's.</summary>
    public static TcpService Bridge(string path, NetworkNamespace? network = null) => new(async socket =>
    {
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await other.ConnectAsync(new UnixDomainSocketEndPoint(path));
        await Task.WhenAll(CopyAsync(socket, other), CopyAsync(other, socket));
    }, network);

    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _accepting;
    }

    private static async Task CopyAsync(Socket from, Socket to)
    {
        var buffer = new byte[64 * 1024];
        int read;
        while ((read = await from.ReceiveAsync(buffer)) > 0)
            await to.SendAsync(buffer.AsMemory(0, read));
        to.Shutdown(SocketShutdown.Send);
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
                _ = ServeAsync(await _listener.AcceptAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        try
        {
            using (socket)
                await _serve(socket);
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            // The client broke off, or was reset: that is what a revocation does.
        }
    }
}
