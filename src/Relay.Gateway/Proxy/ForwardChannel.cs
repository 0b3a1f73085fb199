using Relay.Protocol.Ssh;

namespace Relay.Gateway.Proxy;

/// <summary>Joins two channels that carry plain bytes (direct-tcpip, agent). Each direction ends alone; a close closes both.</summary>
internal static class ForwardChannel
{
    /// <summary>Runs until both are closed. Never throws.</summary>
    /// <param name="user">The user's side.</param>
    /// <param name="target">The target's side.</param>
    /// <param name="counters">Told every byte as it passes.</param>
    public static async Task<(long Up, long Down)> RunAsync(SshChannel user, SshChannel target, IByteCounter counters)
    {
        var up = CopyAsync(user, target, counters.AddUp);
        var down = CopyAsync(target, user, counters.AddDown);
        return (await up, await down);
    }

    private static async Task<long> CopyAsync(SshChannel from, SshChannel to, Action<long> count)
    {
        long total = 0;
        try
        {
            while (true)
            {
                var read = await from.ReadAsync(CancellationToken.None);
                switch (read.Kind)
                {
                    case SshChannelEventKind.Data:
                        await to.WriteAsync(read.Data, CancellationToken.None);
                        total += read.Data.Length;
                        count(read.Data.Length);
                        break;
                    case SshChannelEventKind.Eof:
                        await to.SendEofAsync(CancellationToken.None);
                        break;
                    case SshChannelEventKind.Request when read.WantReply:
                        await from.ReplyAsync(false, CancellationToken.None);
                        break;
                    case SshChannelEventKind.Closed:
                        await to.CloseAsync(CancellationToken.None);
                        return total;
                }
            }
        }
        catch (IOException)
        {
            // One of the two is closed or its connection is over: the other one follows.
            await Quietly.CloseAsync(from);
            await Quietly.CloseAsync(to);
            return total;
        }
    }
}
