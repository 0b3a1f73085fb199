using System.Net.Sockets;
using Relay.Protocol.Ssh;

namespace Relay.Connector.BuiltInSsh;

/// <summary>"direct-tcpip" (RFC 4254 §7.2): dials from the connector's host. Whether the user may is decided before, at the silo.</summary>
internal static class DirectTcpip
{
    private static readonly TimeSpan s_connectTimeout = TimeSpan.FromSeconds(10);

    public static async Task RunAsync(SshChannelOpen open, CancellationToken cancellationToken)
    {
        try
        {
            if (!SshTcpipOpen.TryParse(open.TypeData.Span, out var target))
            {
                await open.RejectAsync(SshChannelOpenReason.ConnectFailed, "The destination cannot be read.");
                return;
            }
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(s_connectTimeout);
            try
            {
                await socket.ConnectAsync(target.Host, target.Port, limit.Token);
            }
            catch (Exception e) when (e is SocketException or OperationCanceledException)
            {
                await open.RejectAsync(SshChannelOpenReason.ConnectFailed, $"{target.Host}:{target.Port}: {(e is SocketException ? e.Message : "timed out")}");
                return;
            }
            await using var channel = await open.AcceptAsync();
            await using var stream = new NetworkStream(socket);
            await Task.WhenAll(ToSocketAsync(channel, socket, stream, cancellationToken), ToChannelAsync(stream, channel, cancellationToken));
        }
        catch (Exception e) when (e is OperationCanceledException or SshException or SshChannelClosedException or IOException or SocketException)
        {
            // One side broke off; disposing has told the other.
        }
    }

    private static async Task ToSocketAsync(SshChannel channel, Socket socket, NetworkStream stream, CancellationToken cancellationToken)
    {
        while (true)
        {
            var @event = await channel.ReadAsync(cancellationToken);
            switch (@event.Kind)
            {
                case SshChannelEventKind.Data:
                    await stream.WriteAsync(@event.Data, cancellationToken);
                    break;
                case SshChannelEventKind.Eof:
                    socket.Shutdown(SocketShutdown.Send);
                    break;
                case SshChannelEventKind.Request when @event.WantReply:
                    await channel.ReplyAsync(false, cancellationToken);
                    break;
                case SshChannelEventKind.Closed:
                    socket.Dispose();
                    return;
            }
        }
    }

    private static async Task ToChannelAsync(NetworkStream stream, SshChannel channel, CancellationToken cancellationToken)
    {
        var buffer = new byte[32 * 1024];
        int read;
        while ((read = await stream.ReadAsync(buffer, cancellationToken)) > 0)
            await channel.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
        await channel.SendEofAsync(cancellationToken);
        await channel.CloseAsync(cancellationToken);
    }
}
