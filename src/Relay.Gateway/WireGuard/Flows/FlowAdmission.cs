using System.Net;
using Microsoft.Extensions.Logging;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Resolver;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>What stands before every flow, of either protocol: whose it is, how many there are, and the decision. Safe for concurrent use.</summary>
internal sealed partial class FlowAdmission(DeviceTable devices, IFlows flows, WireGuardOptions options, TunnelClock clock, ILogger logger)
{
    private int _tcp;
    private int _udp;
    private volatile bool _closed;

    public WireGuardOptions Options => options;

    public TunnelClock Clock => clock;

    public ILogger Logger => logger;

    /// <summary>Flows there are.</summary>
    public int Count(FlowProtocol protocol) => protocol == FlowProtocol.Tcp ? Volatile.Read(ref _tcp) : Volatile.Read(ref _udp);

    /// <summary>From now on every new flow is refused; those there are go on.</summary>
    public void Close() => _closed = true;

    /// <summary>The device behind an inner address, with a flow more; null when there is none, there are too many flows, or no more are taken.</summary>
    public ActiveDevice? TryEnter(IPEndPoint from, IPEndPoint dialled, FlowProtocol protocol)
    {
        // The kernel hands over what the table tells it; a connection that a process of this machine made to the listener itself is not from there.
        if (_closed || !MayBeDialled(dialled) || devices.Find(from.Address) is not { } device) return null;
        if (Interlocked.Increment(ref Counter(protocol)) > options.MaxFlows)
        {
            Interlocked.Decrement(ref Counter(protocol));
            if (device.MayLogRefusal()) LogTooMany(logger, protocol, "the gateway");
            return null;
        }

        if (device.TryEnter(protocol, options.MaxFlowsPerDevice)) return device;
        Interlocked.Decrement(ref Counter(protocol));
        if (device.MayLogRefusal()) LogTooMany(logger, protocol, device.Device.ToString());
        return null;
    }

    /// <summary>The flow is over.</summary>
    public void Leave(ActiveDevice device, FlowProtocol protocol)
    {
        device.Leave(protocol);
        Interlocked.Decrement(ref Counter(protocol));
    }

    /// <summary>Asks. Whatever goes wrong is a refusal.</summary>
    public async ValueTask<FlowDecision> DecideAsync(FlowRequest request, CancellationToken cancellationToken)
    {
        // A device that was removed a moment ago has already been told so.
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var timeout = new CancellationTokenSource(options.DecisionTimeout, clock.Time);
        await using var link = timeout.Token.UnsafeRegister(static s => ((CancellationTokenSource)s!).Cancel(), limit);
        FlowDecision decision;
        Task<FlowDecision>? deciding = null;
        try
        {
            deciding = flows.DecideAsync(request, limit.Token).AsTask();
            decision = await deciding.WaitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            _ = DropAsync(deciding);
            decision = FlowDecision.Refuse(cancellationToken.IsCancellationRequested ? "the device was removed" : "no decision in time");
        }
        catch (Exception e)
        {
            LogFailed(logger, request.Device.Id, request.Dialled.ToString(), e);
            decision = FlowDecision.Refuse("no decision: an error");
        }

        if (decision.Reason is { } reason && (devices.Find(request.From.Address)?.MayLogRefusal() ?? false)) LogRefused(logger, request.Device.Id, request.Protocol, request.Dialled.ToString(), reason);
        return decision;
    }

    // A decision that comes after nobody waits for it any more has opened what must be closed.
    private static async Task DropAsync(Task<FlowDecision>? late)
    {
        if (late is null) return;
        await ((Task)late).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (late.IsCompletedSuccessfully) await (await late).DropAsync();
    }

    private bool MayBeDialled(IPEndPoint dialled) =>
        WireGuardOptions.IsIn(options.Resources, dialled.Address) || (dialled.Port == ResolverOptions.Port && options.Own.Contains(dialled.Address));

    private ref int Counter(FlowProtocol protocol) => ref protocol == FlowProtocol.Tcp ? ref _tcp : ref _udp;
}
