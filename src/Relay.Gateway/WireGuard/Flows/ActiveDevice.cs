using System.Diagnostics.CodeAnalysis;
using System.Net;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.WireGuard;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>A device that has a tunnel here, and its flows. Safe for concurrent use.</summary>
[SuppressMessage("Design", "CA1001", Justification = "A source without a timer holds nothing, and flows may still look at its token when the device is gone.")]
internal sealed class ActiveDevice(UserDevice device, TimeProvider time)
{
    /// <summary>Refusals per second that are answered; the others are dropped, as RFC 4443 §2.4 (f) wants it.</summary>
    private const int ErrorsPerSecond = 50;

    /// <summary>Refusals per second that are worth a line in the log: a program knocks as often as it likes.</summary>
    private const int LinesPerSecond = 5;

    private readonly CancellationTokenSource _removed = new();
    private UserDevice _device = device;
    private int _tcpFlows;
    private int _udpFlows;
    private readonly PerSecond _errors = new(ErrorsPerSecond, time);
    private readonly PerSecond _lines = new(LinesPerSecond, time);

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

    /// <summary>Counts a flow in; false when there are too many.</summary>
    public bool TryEnter(FlowProtocol protocol, int limit)
    {
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

    /// <summary>So many in each second, and no more. Safe for concurrent use.</summary>
    private sealed class PerSecond(int limit, TimeProvider time)
    {
        private long _second;
        private int _taken;

        public bool TryTake()
        {
            long second = time.GetTimestamp() / time.TimestampFrequency;
            if (Interlocked.Exchange(ref _second, second) != second) Volatile.Write(ref _taken, 0);
            return Interlocked.Increment(ref _taken) <= limit;
        }
    }
}
