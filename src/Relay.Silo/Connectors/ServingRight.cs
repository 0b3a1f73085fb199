using Relay.Protocol.Tunnel;
using Relay.Silo.Fencing;

namespace Relay.Silo.Connectors;

/// <summary>This silo's right to serve connectors, now. Safe for concurrent use.</summary>
internal sealed class ServingRight(SiloFence fence, BootClock clock)
{
    public TimeSpan Now => clock.Now;

    /// <summary>When nothing can arrive any more that an earlier process at this address has sent to an agent.</summary>
    public TimeSpan EarlierStartsAreOver { get; init; } = clock.Now + (fence.HoldFor * (1 + (2 * FenceTimes.MaxDrift)));

    /// <summary>False: cut off from store and majority, or fenced.</summary>
    public bool Holds => fence.MayServe(clock.Now);

    /// <summary>Until when it holds at least, whatever happens; in the past when it does not.</summary>
    public TimeSpan Until => fence.ServesUntil(clock.Now);
}
