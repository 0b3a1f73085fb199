using Relay.Gateway.Upstream;
using Relay.Protocol.Ssh;

namespace Relay.Gateway.Proxy;

/// <summary>Joins two channels that carry plain bytes (direct-tcpip, agent). Each direction ends alone; a close closes both.</summary>
/// <param name="context">Its session counts every byte as it passes.</param>
/// <param name="upstream">The connection of the target's side.</param>
/// <param name="user">The user's side.</param>
/// <param name="target">The target's side.</param>
internal sealed class ForwardChannel(ProxyContext context, UpstreamConnection upstream, SshChannel user, SshChannel target)
{
    /// <summary>Runs until both are closed. Never throws.</summary>
    public async Task<(long Up, long Down)> RunAsync()
    {
        var up = FollowAsync(CopyAsync(user, target, context.Session.AddUp), target);
        var down = FollowAsync(CopyDownAsync(), user);
        return (await up, await down);
    }

    private async Task<(long Bytes, bool Broken)> CopyDownAsync()
    {
        using var passing = context.LastData.Begin();
        return await CopyAsync(target, user, context.Session.AddDown);
    }

    // One side is closed: the next one follows. Or one of the two is closed in the middle of something, or its connection over: both do.
    private async Task<long> FollowAsync(Task<(long Bytes, bool Broken)> copying, SshChannel next)
    {
        var (bytes, broken) = await copying;
        if (broken || next == target)
        {
            await Quietly.CloseAsync(target);
        }

        if (broken || next == user)
        {
            await context.UntilToldAsync(upstream);
            await Quietly.CloseAsync(user);
        }

        return bytes;
    }

    private static async Task<(long Bytes, bool Broken)> CopyAsync(SshChannel from, SshChannel to, Action<long> count)
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
                        return (total, false);
                }
            }
        }
        catch (IOException)
        {
            return (total, true);
        }
    }
}
