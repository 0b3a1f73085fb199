using Relay.Gateway.Access;
using Relay.Gateway.Hosting;
using Relay.Gateway.Sessions;
using Relay.Gateway.Upstream;

namespace Relay.Gateway.Proxy;

/// <summary>What the channels of one session share.</summary>
/// <param name="Session">The session.</param>
/// <param name="Authority">Asked for every channel and request.</param>
/// <param name="Metrics">Counts failures.</param>
internal sealed record ProxyContext(GatewaySession Session, ChannelPermit.Authority Authority, GatewayMetrics Metrics)
{
    private readonly Lock _lock = new();
    private int _agentChannels;

    /// <summary>What the target has said and the user has not got yet.</summary>
    public LastData LastData { get; } = new();

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

    /// <summary>Returns when a user whose way to the target was lost has been told so; at once when it was not. Their channels are open until then.</summary>
    public Task UntilToldAsync(UpstreamConnection upstream) => upstream.IsCut ? Session.Told : Task.CompletedTask;

    /// <summary>Tells the silo that what a permit allowed is over, so that losing it later ends nothing.</summary>
    /// <param name="status">"done" or "failed".</param>
    public ValueTask ReleaseAsync(ChannelPermit permit, string status, params (string Key, string? Value)[] metadata) =>
        Session.Events.ReportAsync(permit.Demand.Name, status, [("decision_id", permit.DecisionId.ToString()), .. metadata]);
}
