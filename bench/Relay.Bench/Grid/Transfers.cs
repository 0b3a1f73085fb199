using System.Net;
using System.Net.Sockets;

namespace Relay.Bench.Grid;

/// <summary>
/// A TCP service that takes bytes or sends them. A first block of 8 bytes that is a negative number (little-endian) asks for so many;
/// any other is part of an upload, whose length in 8 bytes is the answer to its end.
/// </summary>
internal sealed class Transfers : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Task _accepting;

    public Transfers()
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
                _ = ServeAsync(await _listener.AcceptSocketAsync());
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private static async Task ServeAsync(Socket socket)
    {
        try
        {
            using (socket)
            {
                socket.NoDelay = true;
                var block = new byte[256 * 1024];
                long received = 0;
                while (received < sizeof(long))
                    received += await socket.ReceiveAsync(block.AsMemory((int)received)) is > 0 and var some ? some : throw new IOException("The question ended early.");
                if (BitConverter.ToInt64(block) is < 0 and var wanted)
                {
                    for (var left = -wanted; left > 0;)
                        left -= await socket.SendAsync(block.AsMemory(0, (int)Math.Min(left, block.Length)));
                    return;
                }

                while (await socket.ReceiveAsync(block) is > 0 and var read)
                    received += read;
                await socket.SendAsync(BitConverter.GetBytes(received));
            }
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            // The other side of the benchmark says what is missing.
        }
    }
}
