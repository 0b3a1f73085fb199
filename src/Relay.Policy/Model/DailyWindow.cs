namespace Relay.Policy;

/// <summary>
/// A daily window by the wall clock of one zone: from <see cref="After"/> (inclusive) to <see cref="Before"/> (exclusive), crossing midnight when
/// after is later than before. A missing end is midnight. A before of 23:59 is the end of the day: schemas have no 24:00, and "00:00 to 23:59"
/// is how people write "always". Immutable.
/// </summary>
internal sealed class DailyWindow
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);
    private readonly TimeZoneInfo _zone;
    private readonly TimeSpan _from;
    private readonly TimeSpan _to;

    private DailyWindow(ClockTime? after, ClockTime? before)
    {
        After = after;
        Before = before;
        _zone = (after ?? before)!.Zone;
        _from = after?.TimeOfDay ?? TimeSpan.Zero;
        _to = before is null || before.TimeOfDay == new TimeSpan(23, 59, 0) ? Day : before.TimeOfDay;
    }

    public ClockTime? After { get; }

    public ClockTime? Before { get; }

    public TimeZoneInfo Zone => _zone;

    /// <summary>Null without an error when both are null.</summary>
    public static DailyWindow? TryCreate(ClockTime? after, ClockTime? before, out string? error)
    {
        error = null;
        if (after is null && before is null)
            return null;
        if (after is not null && before is not null)
        {
            if (!string.Equals(after.Zone.Id, before.Zone.Id, StringComparison.Ordinal))
                error = "time_of_day_after and time_of_day_before must name the same time zone.";
            else if (after.TimeOfDay == before.TimeOfDay)
                error = "The window from a time to the same time is either nothing or the whole day: leave both out for the whole day.";
        }
        else if (before is not null && before.TimeOfDay == TimeSpan.Zero)
        {
            error = "Nothing is before 00:00: leave it out for the whole day.";
        }

        return error is null ? new DailyWindow(after, before) : null;
    }

    public bool Contains(DateTimeOffset now) => ContainsTimeOfDay(WallClock(now));

    public TimeSpan WallClock(DateTimeOffset now) => TimeZoneInfo.ConvertTime(now, _zone).TimeOfDay;

    /// <summary>The first instant after <paramref name="now"/> outside the window; null: there is none. <paramref name="now"/> must be inside.</summary>
    public DateTimeOffset? EndAfter(DateTimeOffset now)
    {
        if (_from == TimeSpan.Zero && _to == Day)
            return null;
        var offset = _zone.GetUtcOffset(now);
        var left = _to - WallClock(now);
        var end = now + (left > TimeSpan.Zero ? left : left + Day);
        if (_zone.GetUtcOffset(end) == offset)
            return end.ToUniversalTime();

        // Clocks are changed before then, which may end the window earlier or later: walk. Offsets are whole minutes.
        var utc = now.UtcDateTime;
        var minute = new DateTimeOffset(utc.AddTicks(-(utc.Ticks % TimeSpan.TicksPerMinute)), TimeSpan.Zero);
        for (var i = 0; i < 2 * 24 * 60; i++)
        {
            minute += TimeSpan.FromMinutes(1);
            if (!Contains(minute))
                return minute;
        }

        return minute;
    }

    private bool ContainsTimeOfDay(TimeSpan time) => _from < _to ? time >= _from && time < _to : time >= _from || time < _to;
}
