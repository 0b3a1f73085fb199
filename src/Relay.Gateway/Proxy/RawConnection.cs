using System.Globalization;
using Relay.Gateway.Access;
using Relay.Gateway.Upstream;
using Relay.Protocol.Ssh;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.Proxy;

/// <summary>One connection through a raw TCP socket: the user's direct-tcpip channel joined with a stream of its own to the target.</summary>
internal sealed class RawConnection(ProxyContext context, SshChannelOpen open, ChannelPermit permit)
{
    /// <summary>Runs until both directions are over, or either side broke off.</summary>
    /// <param name="destination">For the record.</param>
    /// <param name="userGone">Cancelled when the user's connection is over: nobody waits for the target any more.</param>
    /// <exception cref="IOException">The user's connection was over before it began.</exception>
    public async Task RunAsync(string destination, CancellationToken userGone)
    {
        DuplexStream target;
        try
        {
            target = await TargetStream.OpenAsync(permit, userGone);
        }
        catch (UpstreamFailedException e)
        {
            context.Metrics.OnUpstreamFailed(e.Failure.ToString().ToLowerInvariant());
            await context.ReleaseAsync(permit, "failed", ("destination", destination), ("error", UserText.Line(e.Message)));
            await open.RejectAsync(SshChannelOpenReason.ConnectFailed, UserText.Line(e.Message));
            return;
        }
        catch (OperationCanceledException)
        {
            await context.ReleaseAsync(permit, "failed", ("destination", destination), ("error", "the user left"));
            return;
        }

        await using (target)
        {
            await using var user = new SshChannelStream(await open.AcceptAsync());
            var counters = new StreamPumpCounters();

            // What the user sent before leaving still goes to the target; a session that loses its right is cut by its silo.
            var ending = await StreamPump.RunAsync(user, target, counters, CancellationToken.None);
            context.Session.AddUp(counters.FirstToSecond);
            context.Session.AddDown(counters.SecondToFirst);
            await context.ReleaseAsync(
                permit,
                "done",
                ("destination", destination),
                ("bytes_up", counters.FirstToSecond.ToString(CultureInfo.InvariantCulture)),
                ("bytes_down", counters.SecondToFirst.ToString(CultureInfo.InvariantCulture)),
                ("broken_off_by", ending switch { StreamPumpEnding.FirstAborted => "user", StreamPumpEnding.SecondAborted => "target", _ => null }));
        }
    }
}
