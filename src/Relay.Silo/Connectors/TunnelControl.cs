using Relay.Protocol.Tunnel;

namespace Relay.Silo.Connectors;

/// <summary>
/// Gives each agent signs of life, so that it leaves a silo that stands still, and tells it which silos there are. How often is
/// bounded for the silo as a whole: a thousand agents hear it every second, ten thousand every five. Safe for concurrent use.
/// </summary>
internal sealed class TunnelControl(ISiloAnnouncements silos, ConnectorTunnels tunnels, TimeProvider time)
{
    private const int SignsPerSecond = 2000;
    private static readonly TimeSpan Shortest = TimeSpan.FromSeconds(1);

    // Beyond this HTTP/2's own pings are as quick.
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);

    /// <summary>Lives with one tunnel until it is over or the agent ends the stream. Never throws.</summary>
    public async Task RunAsync(ConnectorTunnel tunnel)
    {
        try
        {
            if (await tunnel.OpenControlAsync(CancellationToken.None) is not { } stream)
                return;
            using var over = new CancellationTokenSource();
            await using (stream)
            {
                // The agent sends nothing: what ends the reading is that it wants no more, or that it is gone.
                var ending = EndAsync(stream, over);
                try
                {
                    await SpeakAsync(stream, over.Token);
                }
                finally
                {
                    stream.Abort("over");
                    await ending;
                }
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // The tunnel is over; who keeps it tells why.
        }
    }

    private static async Task EndAsync(DuplexStream stream, CancellationTokenSource over)
    {
        try
        {
            await TunnelLines.ReadAsync(stream, static _ => { }, CancellationToken.None);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // As good as an end.
        }
        finally
        {
            await over.CancelAsync();
        }
    }

    private async Task SpeakAsync(DuplexStream stream, CancellationToken cancellationToken)
    {
        while (true)
        {
            var changed = silos.Changed;
            await TunnelLines.WriteAsync(stream, new TunnelMessage("silos", Silos: silos.ForConnectors()), cancellationToken);
            while (!changed.IsCompleted)
            {
                var next = TimeSpan.FromSeconds(Math.Clamp((double)tunnels.Count / SignsPerSecond, Shortest.TotalSeconds, Longest.TotalSeconds));
                await TunnelLines.WriteAsync(stream, new TunnelMessage("ping", (int)next.TotalMilliseconds), cancellationToken);
                await changed.WaitAsync(next, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                cancellationToken.ThrowIfCancellationRequested();
            }
        }
    }
}
