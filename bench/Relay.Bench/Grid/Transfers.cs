using System.Net.Sockets;
using Relay.TestKit;

namespace Relay.Bench.Grid;

/// <summary>
/// Takes bytes or sends them. A first block of 8 bytes that is a negative number (little-endian) asks for so many; any other is part of
/// an upload, whose length in 8 bytes is the answer to its end.
/// </summary>
internal static class Transfers
{
    /// <summary>Caller disposes.</summary>
    public static TcpService Serve() => new(ServeAsync);

    private static async Task ServeAsync(Socket socket)
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
