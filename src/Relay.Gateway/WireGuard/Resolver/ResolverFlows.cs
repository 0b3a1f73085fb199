using System.Net;
using Relay.Gateway.WireGuard.Decisions;

namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>Leads flows to the gateway's own address and port 53 to the resolver, which takes every device; all others are decided about as before. Safe for concurrent use.</summary>
internal sealed class ResolverFlows(IFlows others, IReadOnlyList<IPAddress> own, TunnelResolver resolver) : IFlows
{
    public ValueTask<FlowDecision> DecideAsync(FlowRequest request, CancellationToken cancellationToken)
    {
        if (request.Dialled.Port != ResolverOptions.Port || !own.Contains(request.Dialled.Address)) return others.DecideAsync(request, cancellationToken);
        return new(request.Protocol == FlowProtocol.Udp
            ? FlowDecision.Allow(new ResolverPipe(resolver, request), revoked: CancellationToken.None)
            : FlowDecision.Allow(new ResolverStream(resolver, request), revoked: CancellationToken.None));
    }
}
