using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Relay.Protocol.Ssh;

namespace Relay.Connector.BuiltInSsh;

/// <summary>One logged-in connection: its sessions and forwards until it ends.</summary>
internal sealed class BuiltInConnection(SshConnection connection, LocalUser user, Guid sessionId, ILogger logger)
{
    private readonly ConcurrentDictionary<Task, bool> _channels = new();

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, connection.Closed);
        try
        {
            await foreach (var incoming in connection.IncomingAsync(stop.Token))
            {
                switch (incoming)
                {
                    case SshChannelOpen { ChannelType: "session" } open:
                        Follow(new BuiltInSession(await open.AcceptAsync(), user, sessionId, logger).RunAsync(stop.Token));
                        break;
                    case SshChannelOpen { ChannelType: SshTcpipOpen.Direct } open:
                        Follow(DirectTcpip.RunAsync(open, stop.Token));
                        break;
                    case SshChannelOpen open:
                        await open.RejectAsync(SshChannelOpenReason.UnknownChannelType, $"The built-in SSH service has no '{open.ChannelType}' channels.");
                        break;
                    case SshGlobalRequest request:
                        await request.ReplyAsync(false);
                        break;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The connection or the connector ended; the channels see the same token.
        }
        catch (SshException)
        {
            // The peer broke off; there is nobody left to tell.
        }
        await stop.CancelAsync();
        await Task.WhenAll(_channels.Keys);
    }

    private void Follow(Task channel)
    {
        _channels[channel] = true;
        _ = channel.ContinueWith(done => _channels.TryRemove(done, out _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }
}
