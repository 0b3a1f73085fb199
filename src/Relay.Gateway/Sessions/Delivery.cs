using Relay.Gateway.Grid;

namespace Relay.Gateway.Sessions;

/// <summary>Repeats an idempotent delivery to silos: that one of them restarts, or the whole grid, is not a reason to lose a record.</summary>
internal static class Delivery
{
    /// <summary>What a session that lives waits for: nobody goes on for longer whose records are not safe.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    /// <summary>What a record waits for whose session is over. Nothing is added to it any more, so what waits is no more than was under way.</summary>
    public static readonly TimeSpan LongLimit = TimeSpan.FromMinutes(5);

    /// <summary>To the session's own silo, and when that does not take it to each other one, for <see cref="Limit"/>.</summary>
    /// <exception cref="GridException">Refused, or the limit has passed.</exception>
    public static Task RetryAsync(SiloSession session, Func<SiloLink, Task> send) => RetryAsync(session, send, Limit, static _ => { });

    /// <summary>As <see cref="RetryAsync(SiloSession, Func{SiloLink, Task})"/>, for <see cref="LongLimit"/>.</summary>
    /// <param name="late">Called once when <see cref="Limit"/> has passed: it ends the session, if it still lives.</param>
    /// <exception cref="GridException">Refused, or the limit has passed.</exception>
    public static Task RetryForLongAsync(SiloSession session, Func<SiloLink, Task> send, Action<GridException> late) => RetryAsync(session, send, LongLimit, late);

    private static async Task RetryAsync(SiloSession session, Func<SiloLink, Task> send, TimeSpan limit, Action<GridException> late)
    {
        var time = session.Time;
        var begin = time.GetTimestamp();
        var isLate = false;
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
            if (attempt > 0 && (!waits || time.GetElapsedTime(begin) >= limit))
            {
                throw failed!;
            }

            if (attempt > 0 && !isLate && time.GetElapsedTime(begin) >= Limit)
            {
                isLate = true;
                late(failed!);
            }

            await Task.Delay(TimeSpan.FromMilliseconds(100 << Math.Min(attempt, 4)), time);
        }
    }
}
