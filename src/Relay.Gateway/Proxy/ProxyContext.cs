using Relay.Gateway.Access;
using Relay.Gateway.Hosting;
using Relay.Gateway.Sessions;
using Relay.Gateway.Upstream;

namespace Relay.Gateway.Proxy;

/// <summary>What the channels of one session share.</summary>
/// <param name="Session">The session.</param>
/// <param name="Authority">Asked for every channel and request.</param>
/// <param name="Upstream">The target; faults with <see cref="UpstreamFailedException"/>.</param>
/// <param name="Metrics">Counts failures.</param>
internal sealed record ProxyContext(GatewaySession Session, ChannelPermit.Authority Authority, Task<UpstreamConnection> Upstream, GatewayMetrics Metrics)
{
    private ChannelPermit? _agent;

    /// <summary>Set once the silo has allowed agent forwarding in this session; the target's agent channels need it.</summary>
    public ChannelPermit? Agent
    {
        get => Volatile.Read(ref _agent);
        set => Volatile.Write(ref _agent, value);
    }
}
