using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Relay.Policy;

/// <summary>A time of day in a time zone, "HH:MM ZONE". Immutable.</summary>
internal sealed record ClockTime(string Text, TimeSpan TimeOfDay, TimeZoneInfo Zone)
{
    public static bool TryParse(string text, [NotNullWhen(true)] out ClockTime? time, [NotNullWhen(false)] out string? error)
    {
        time = null;
        if (text.Length < 7 || text[5] != ' '
            || !TimeOnly.TryParseExact(text.AsSpan(0, 5), "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out var clock))
        {
            error = "Not \"HH:MM ZONE\", such as \"09:00 UTC\" or \"17:30 Europe/Berlin\".";
            return false;
        }

        if (!TryFindZone(text[6..], out var zone))
        {
            error = "Unknown time zone: write UTC or an IANA name such as Europe/Berlin.";
            return false;
        }

        time = new ClockTime(text, clock.ToTimeSpan(), zone);
        error = null;
        return true;
    }

    private static bool TryFindZone(string name, [NotNullWhen(true)] out TimeZoneInfo? zone)
    {
        zone = null;
        if (name is "UTC" or "Z" or "GMT")
        {
            zone = TimeZoneInfo.Utc;
            return true;
        }

        // SECURITY: the framework opens a file of that name under the zone database.
        if (name.Length > 64 || !char.IsAsciiLetter(name[0]) || name.AsSpan().ContainsAnyExcept(ZoneCharacters))
            return false;
        return TimeZoneInfo.TryFindSystemTimeZoneById(name, out zone);
    }

    private static readonly System.Buffers.SearchValues<char> ZoneCharacters =
        System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/");
}
