using System.Net.Sockets;

namespace Relay.Bench.Grid;

/// <summary>Sends back what it gets.</summary>
internal sealed class Echo : TcpService
{
    protected override async Task ServeAsync(Socket socket)
    {
        await using var stream = new NetworkStream(socket);
        await stream.CopyToAsync(stream);
    }
}
