using System.Net;
using System.Net.Sockets;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Silo.Connectors;

/// <summary>A TCP service a test steps by hand.</summary>
internal sealed class TcpTarget : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public TcpTarget()
    {
        _listener.Start();
        Target = StreamTarget.Tcp("127.0.0.1", ((IPEndPoint)_listener.LocalEndpoint).Port);
    }

    public StreamTarget Target { get; }

    public async Task<Socket> AcceptAsync()
    {
        var socket = await _listener.AcceptSocketAsync(TestContext.Current.CancellationToken);
        socket.NoDelay = true;
        return socket;
    }

    public void Dispose() => _listener.Dispose();

    /// <summary>Sends everything.</summary>
    public static async Task SendAsync(Socket socket, ReadOnlyMemory<byte> data)
    {
        while (data.Length > 0)
            data = data[await socket.SendAsync(data, TestContext.Current.CancellationToken)..];
    }

    /// <summary>Reads to the end of the peer's direction.</summary>
    public static async Task<byte[]> ReceiveAllAsync(Socket socket)
    {
        using var all = new MemoryStream();
        var buffer = new byte[64 * 1024];
        while (await socket.ReceiveAsync(buffer, TestContext.Current.CancellationToken) is > 0 and var read)
            all.Write(buffer, 0, read);
        return all.ToArray();
    }

    /// <summary>Reads a stream to its end.</summary>
    public static async Task<byte[]> ReadAllAsync(Stream stream)
    {
        using var all = new MemoryStream();
        await stream.CopyToAsync(all, TestContext.Current.CancellationToken);
        return all.ToArray();
    }

    public static byte[] Random(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
