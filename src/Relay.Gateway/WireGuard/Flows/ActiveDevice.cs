using System.Diagnostics.CodeAnalysis;
using System.Net;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>A device that has a tunnel here, and its flows. Safe for concurrent use.</summary>
[SuppressMessage("Design", "CA1001", Justification = "A source without a timer holds nothing, and flows may still look at its token when the device is gone.")]
internal sealed class ActiveDevice(UserDevice device, TimeProvider time)
{
    /// <summary>New flows that a device may begin at once, of both protocols; each is a question to a silo, and when allowed a row of history.</summary>
    public const int FlowsAtOnce = 4096;

    /// <summary>New flows per second beyond those.</summary>
    public const int FlowsPerSecond = 200;

    /// <summary>Refusals per second that are answered; the others are dropped, as RFC 4443 §2.4 (f) wants it.</summary>
    private const int ErrorsPerSecond = 50;

    /// <summary>Refusals per second that are worth a line in the log: a program knocks as often as it likes.</summary>
    private const int LinesPerSecond = 5;

    private readonly CancellationTokenSource _removed = new();
    private UserDevice _device = device;
    private int _tcpFlows;
    private int _udpFlows;
    private readonly RateBudget _flows = new(FlowsAtOnce, FlowsPerSecond, time);
    private readonly RateBudget _errors = new(ErrorsPerSecond, ErrorsPerSecond, time);
    private readonly RateBudget _lines = new(LinesPerSecond, LinesPerSecond, time);

    public UserDevice Device
    {
        get => Volatile.Read(ref _device);
        set => Volatile.Write(ref _device, value);
    }

    /// <summary>Set once, before anything else sees the device.</summary>
    public WireGuardPeer? Peer { get; set; }

    /// <summary>What its last authentic packet came from.</summary>
    public IPEndPoint Outside => Peer?.Endpoint.ToIPEndPoint() ?? new IPEndPoint(IPAddress.None, 0);

    /// <summary>Cancelled when the device is removed: ends its flows.</summary>
    public CancellationToken Removed => _removed.Token;

    public void EndFlows() => _removed.Cancel();

    /// <summary>Counts a flow in; false when there are too many, or have been in too short a time.</summary>
    public bool TryEnter(FlowProtocol protocol, int limit)
    {
        if (!_flows.TryTake()) return false;
        ref int flows = ref Flows(protocol);
        if (Interlocked.Increment(ref flows) <= limit) return true;
        Interlocked.Decrement(ref flows);
        return false;
    }

    public void Leave(FlowProtocol protocol) => Interlocked.Decrement(ref Flows(protocol));

    /// <summary>True when one more error may be reported to it now.</summary>
    public bool MayReportError() => _errors.TryTake();

    /// <summary>True when one more refusal of it may be logged now.</summary>
    public bool MayLogRefusal() => _lines.TryTake();

    private ref int Flows(FlowProtocol protocol) => ref protocol == FlowProtocol.Tcp ? ref _tcpFlows : ref _udpFlows;
}
