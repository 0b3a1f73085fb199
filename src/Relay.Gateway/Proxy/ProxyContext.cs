using Relay.Gateway.Access;
using Relay.Gateway.Hosting;
using Relay.Gateway.Sessions;

namespace Relay.Gateway.Proxy;

/// <summary>What the channels of one session share.</summary>
/// <param name="Session">The session.</param>
/// <param name="Authority">Asked for every channel and request.</param>
/// <param name="Metrics">Counts failures.</param>
internal sealed record ProxyContext(GatewaySession Session, ChannelPermit.Authority Authority, GatewayMetrics Metrics)
{
    private readonly Lock _lock = new();
    private int _agentChannels;

    /// <summary>A channel that is open now was allowed to forward the user's agent: the target may ask for it.</summary>
    public bool IsAgentAllowed
    {
        get
        {
            lock (_lock)
            {
                return _agentChannels > 0;
            }
        }
    }

    /// <summary>A channel was allowed to forward the agent; <see cref="RemoveAgentAsync"/> when it is closed.</summary>
    public void AddAgent()
    {
        lock (_lock)
        {
            _agentChannels++;
        }
    }

    public async ValueTask RemoveAgentAsync(ChannelPermit permit)
    {
        lock (_lock)
        {
            _agentChannels--;
        }

        await ReleaseAsync(permit, "done");
    }

    /// <summary>Tells the silo that what a permit allowed is over, so that losing it later ends nothing.</summary>
    /// <param name="status">"done" or "failed".</param>
    public ValueTask ReleaseAsync(ChannelPermit permit, string status, params (string Key, string? Value)[] metadata) =>
        Session.Events.ReportAsync(permit.Demand.Name, status, [("decision_id", permit.DecisionId.ToString()), .. metadata]);
}
