using System.Net.Sockets;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.WireGuard.Decisions;

/// <summary>
/// What <see cref="IFlows"/> says of a flow: allowed with a way to the target, which the flow owns and disposes from then on; allowed and served by
/// somebody here; or refused.
/// </summary>
internal sealed class FlowDecision
{
    private FlowDecision()
    {
    }

    /// <summary>The way to the target of a TCP flow; null when refused, served here, or UDP.</summary>
    public DuplexStream? Stream { get; private init; }

    /// <summary>The way to the target of a UDP flow; null when refused or TCP.</summary>
    public IDatagramPipe? Datagrams { get; private init; }

    /// <summary>Takes the TCP connection and serves it to its end; null when refused, or there is a target. The connection is cut when the device is gone.</summary>
    public Func<Socket, Task>? Server { get; private init; }

    /// <summary>Ends an allowed flow at once when it is cancelled: access was revoked, a limit was reached.</summary>
    public CancellationToken Revoked { get; private init; }

    /// <summary>Called once when an allowed flow is over. Must not throw.</summary>
    public Action<FlowEnd>? Ended { get; private init; }

    /// <summary>Why it was refused, for the log; null when allowed.</summary>
    public string? Reason { get; private init; }

    /// <summary>
    /// What a refused TCP connection still reads before it is closed, by the first bytes that it says itself, where its protocol can say why; empty:
    /// it is reset. Null: it is reset at once.
    /// </summary>
    public Func<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>? Answer { get; private init; }

    public static FlowDecision Allow(DuplexStream target, Action<FlowEnd>? ended = null, CancellationToken revoked = default) =>
        new() { Stream = target, Revoked = revoked, Ended = ended };

    public static FlowDecision Allow(IDatagramPipe target, Action<FlowEnd>? ended = null, CancellationToken revoked = default) =>
        new() { Datagrams = target, Revoked = revoked, Ended = ended };

    public static FlowDecision Serve(Func<Socket, Task> server) => new() { Server = server };

    public static FlowDecision Refuse(string reason, Func<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>? answer = null) => new() { Reason = reason, Answer = answer };

    /// <summary>Gives back what nobody wants any more: the flow was over before it was decided about.</summary>
    public async ValueTask DropAsync()
    {
        if (Stream is not null) await Stream.DisposeAsync();
        if (Datagrams is not null) await Datagrams.DisposeAsync();
        Ended?.Invoke(new FlowEnd(FlowEndCause.Revoked, 0, 0));
    }
}

/// <summary>How a flow ended.</summary>
/// <param name="Cause">The first cause.</param>
/// <param name="BytesUp">Payload from the device to the target.</param>
/// <param name="BytesDown">Payload from the target to the device.</param>
internal readonly record struct FlowEnd(FlowEndCause Cause, long BytesUp, long BytesDown);

internal enum FlowEndCause
{
    /// <summary>Both sides had finished; of UDP, the target's.</summary>
    Completed,

    /// <summary>Of UDP: nothing moved for the idle time.</summary>
    Idle,

    /// <summary>The device reset the connection, or says that nobody takes the datagrams.</summary>
    ByDevice,

    /// <summary>The target did.</summary>
    ByTarget,

    /// <summary>The decision was revoked, the device removed, or the gateway goes down.</summary>
    Revoked,
}
