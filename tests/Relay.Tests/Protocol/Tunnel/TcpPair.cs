using System.Net;
using System.Net.Sockets;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Protocol.Tunnel;

/// <summary>Two ends of one TCP connection on loopback.</summary>
internal sealed class TcpPair : IDisposable
{
    private TcpPair(Socket here, Socket there)
    {
        Here = new SocketDuplexStream(here);
        There = there;
    }

    public SocketDuplexStream Here { get; }

    public Socket There { get; }

    public static async Task<TcpPair> CreateAsync()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var here = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        var accepting = listener.AcceptSocketAsync(TestContext.Current.CancellationToken);
        await here.ConnectAsync(listener.LocalEndpoint, TestContext.Current.CancellationToken);
        return new TcpPair(here, await accepting);
    }

    public void Dispose()
    {
        Here.Dispose();
        There.Dispose();
    }
}
