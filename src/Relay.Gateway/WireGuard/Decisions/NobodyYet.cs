using System.Runtime.CompilerServices;

namespace Relay.Gateway.WireGuard.Decisions;

/// <summary>
/// What the gateway itself runs with as long as silos do not tell it of devices: there are none. A handshake is then answered to nobody.
/// </summary>
internal sealed class NobodyYet : IDevices
{
    public async IAsyncEnumerable<DevicesChange> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        yield return new DevicesChange(IsComplete: true, [], []);
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
    }
}
