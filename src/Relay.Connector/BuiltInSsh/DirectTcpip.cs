using System.Net.Sockets;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tunnel;

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
            await using var stream = new SocketDuplexStream(socket);
            await using var user = new SshChannelStream(await open.AcceptAsync());
            await StreamPump.RunAsync(user, stream, cancellationToken: cancellationToken);
        }
        catch (Exception e) when (e is OperationCanceledException or SshException or SshChannelClosedException or IOException or SocketException)
        {
            // One side broke off; disposing has told the other.
        }
    }
}
