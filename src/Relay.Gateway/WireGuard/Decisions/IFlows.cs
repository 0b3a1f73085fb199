using System.Net;

namespace Relay.Gateway.WireGuard.Decisions;

/// <summary>Decides about flows, and reaches their targets. Safe for concurrent use.</summary>
internal interface IFlows
{
    /// <summary>
    /// Asked once for each flow, with its first packet. The answer counts for this flow only, and as long as it lives. An exception is a refusal.
    /// </summary>
    /// <param name="request">Who wants to go where.</param>
    /// <param name="cancellationToken">The flow is over before it began: the device was removed, the user gave up, or it took too long.</param>
    ValueTask<FlowDecision> DecideAsync(FlowRequest request, CancellationToken cancellationToken);
}

internal enum FlowProtocol
{
    Tcp,
    Udp,
}

/// <summary>The first packet of a flow.</summary>
/// <param name="Device">Whose packet it is, proven by the tunnel.</param>
/// <param name="Outside">Where the device is: what its last authentic packet came from.</param>
/// <param name="From">The device's address and port inside the tunnel.</param>
/// <param name="Dialled">The address and port it asked for, within the range of resources.</param>
/// <param name="Protocol">TCP: a connection was made, and waits. UDP: a datagram waits.</param>
internal sealed record FlowRequest(UserDevice Device, IPEndPoint Outside, IPEndPoint From, IPEndPoint Dialled, FlowProtocol Protocol);
