namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>How many questions of each device are under way. Safe for concurrent use.</summary>
internal sealed class DeviceQuestions(int limit)
{
    private readonly Dictionary<Guid, int> _underWay = [];

    /// <summary>Counts one in; false when there are too many. <see cref="Leave"/> counts it out.</summary>
    public bool TryEnter(Guid device)
    {
        lock (_underWay)
        {
            var count = _underWay.GetValueOrDefault(device);
            if (count == limit) return false;
            _underWay[device] = count + 1;
            return true;
        }
    }

    public void Leave(Guid device)
    {
        lock (_underWay)
        {
            if (--_underWay[device] == 0) _underWay.Remove(device);
        }
    }
}
