using Relay.Gateway.Grid;

namespace Relay.Gateway.Sessions;

/// <summary>Repeats an idempotent delivery to a silo for a short while: a silo that restarts is not a reason to lose a record.</summary>
internal static class Delivery
{
    /// <summary>How long a delivery is tried.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>To the session's own silo, and when that does not take it to each other one.</summary>
    /// <exception cref="GridException">Refused, or the limit has passed.</exception>
    public static async Task RetryAsync(SiloSession session, Func<SiloLink, Task> send)
    {
        var time = session.Time;
        var begin = time.GetTimestamp();
        for (var attempt = 0; ; attempt++)
        {
            GridException? failed = null;
            var waits = false;
            foreach (var silo in attempt == 0 ? [session.Silo] : session.Fallback.Besides(session.Silo).Append(session.Silo))
            {
                try
                {
                    await send(silo);
                    return;
                }
                catch (GridException e) when (e.IsTransient || e.IsFull || e.IsEarly)
                {
                    failed ??= e;
                    waits |= !e.IsFull;
                }
            }

            // A silo that stands still takes all the time there is to say nothing: the others are asked even then. Where nobody has a
            // place for it, waiting makes none.
            if (attempt > 0 && (!waits || time.GetElapsedTime(begin) >= Limit))
            {
                throw failed!;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(100 << Math.Min(attempt, 4)), time);
        }
    }
}
