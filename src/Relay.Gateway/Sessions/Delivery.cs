using Relay.Gateway.Grid;

namespace Relay.Gateway.Sessions;

/// <summary>Repeats an idempotent delivery to a silo for a short while: a silo that restarts is not a reason to lose a record.</summary>
internal static class Delivery
{
    /// <summary>How long a delivery is tried.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <exception cref="GridException">Refused, or the limit has passed.</exception>
    public static async Task RetryAsync(Func<CancellationToken, Task> send, TimeProvider time)
    {
        var begin = time.GetTimestamp();
        for (var attempt = 0; ; attempt++)
        {
            try
            {
                await send(CancellationToken.None);
                return;
            }
            catch (GridException e) when (e.IsTransient && time.GetElapsedTime(begin) < Limit)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100 << Math.Min(attempt, 4)), time);
            }
        }
    }
}
