using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Relay.Gateway.Proxy;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Tun;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>UDP flows of all devices. Safe for concurrent use.</summary>
internal sealed class UdpFlows(FlowAdmission admission, Action<IPEndPoint, IPEndPoint, int, RefusalCause> refuse)
{
    // How long a refusal counts for the datagrams that come after it: the decision is asked for again then.
    private static readonly TimeSpan s_refusalCounts = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<(IPEndPoint From, IPEndPoint Dialled), UdpFlow> _flows = new();
    private readonly TaskSet _running = new();

    /// <summary>Takes a datagram that belongs to no socket yet.</summary>
    /// <param name="from">The device's address and port.</param>
    /// <param name="dialled">Where it goes.</param>
    /// <param name="datagram">Copied when it is kept.</param>
    /// <param name="stops">Ends the flow.</param>
    public void Take(IPEndPoint from, IPEndPoint dialled, ReadOnlySpan<byte> datagram, CancellationToken stops)
    {
        if (!_flows.TryGetValue((from, dialled), out var flow))
        {
            if (admission.TryEnter(from, dialled, FlowProtocol.Udp) is not { } device)
            {
                refuse(from, dialled, datagram.Length, RefusalCause.Prohibited);
                return;
            }

            flow = new UdpFlow(device, from, dialled, admission.Clock);
            _flows[(from, dialled)] = flow;
            var started = flow;
            _running.Run(() => RunAsync(started, stops));
        }

        if (flow.Refused is { } cause) refuse(from, dialled, datagram.Length, cause);
        else flow.Enqueue(datagram);
    }

    /// <summary>Ends flows in which nothing moves, until cancelled.</summary>
    public async Task SweepAsync(CancellationToken cancellationToken)
    {
        var idle = admission.Options.UdpIdle;
        using var timer = new PeriodicTimer(TimeSpan.FromTicks(Math.Max(idle.Ticks / 10, TimeSpan.TicksPerMillisecond * 100)), admission.Clock.Time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                var before = admission.Clock.Now - idle;
                foreach (var flow in _flows.Values)
                {
                    if (flow.LastMoved < before) await flow.Idle.CancelAsync();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Going down.
        }
    }

    /// <summary>Waits for the flows' ends; false when the limit has passed.</summary>
    public Task<bool> WaitAsync(TimeSpan limit) => _running.WaitAsync(limit, admission.Clock.Time);

    private async Task RunAsync(UdpFlow flow, CancellationToken stops)
    {
        try
        {
            using var over = CancellationTokenSource.CreateLinkedTokenSource(flow.Device.Removed, stops);
            var request = new FlowRequest(flow.Device.Device, flow.Device.Outside, flow.From, flow.Dialled, FlowProtocol.Udp);
            var decision = await admission.DecideAsync(request, over.Token);
            if (decision.Datagrams is not { } target)
            {
                await decision.DropAsync();
                await RefuseAsync(flow, RefusalCause.Prohibited, over.Token);
                return;
            }

            await using (target)
            {
                using var ends = CancellationTokenSource.CreateLinkedTokenSource(over.Token, decision.Revoked);
                var end = new FlowEnd(FlowEndCause.Revoked, 0, 0);
                try
                {
                    end = await flow.CarryAsync(target, ends.Token);
                }
                catch (Exception e) when (e is SocketException or OperationCanceledException)
                {
                    // Out of descriptors, or over before it began.
                }

                decision.Ended?.Invoke(end);
                // The target's host says that nobody takes datagrams there: the device learns it, and does not begin a session with each.
                if (end is { Cause: FlowEndCause.ByTarget, BytesDown: 0 }) await RefuseAsync(flow, RefusalCause.NobodyThere, over.Token);
            }
        }
        finally
        {
            _flows.TryRemove((flow.From, flow.Dialled), out _);
            admission.Leave(flow.Device, FlowProtocol.Udp);
        }
    }

    private async Task RefuseAsync(UdpFlow flow, RefusalCause cause, CancellationToken over)
    {
        flow.Refused = cause;
        refuse(flow.From, flow.Dialled, 0, cause);
        await Task.Delay(s_refusalCounts, admission.Clock.Time, over).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}
