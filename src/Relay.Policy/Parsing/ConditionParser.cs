using System.Globalization;
using System.Text.RegularExpressions;

namespace Relay.Policy;

/// <summary><c>condition</c>: the same in both schemas but for <c>who.domain</c>.</summary>
internal static partial class ConditionParser
{
    // RFC 3339, and without seconds, as the reference product's own examples write it.
    private static readonly string[] InstantFormats = ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", "yyyy-MM-dd'T'HH:mmK"];

    public static Condition? Parse(PolicyNode node, PolicySchemaVersion version)
    {
        if (node.Object("who", "where", "when") is not { } keys)
            return null;
        if (!keys.Has("who"))
            node.Error("\"who\" is missing: without it the policy is for nobody; write {} if that is meant.");
        var who = keys.Read("who", who => Who(who, version));
        var where = keys.Read("where", static value => value.Object("allowed_ip", "country", "country_not"));
        var when = keys.Read("when", static value => value.Object("after", "before", "time_of_day_after", "time_of_day_before"));
        var after = when?.Value("after", Instant);
        var before = when?.Value("before", Instant);
        if (after >= before)
            keys.Read("when", static value => Reject(value, "after must be earlier than before: this policy would never apply."));
        var daily = DailyWindow.TryCreate(when?.Read("time_of_day_after", Clock), when?.Read("time_of_day_before", Clock), out var error);
        if (error is not null)
            keys.Read("when", value => Reject(value, error));
        return who is null ? null : new Condition
        {
            Who = who,
            AllowedIp = where?.Read("allowed_ip", static list => list.List(PolicyLimits.MaxListEntries, Range)) ?? [],
            Country = where?.Read("country", Countries) ?? [],
            CountryNot = where?.Read("country_not", Countries) ?? [],
            After = after,
            Before = before,
            Daily = daily,
        };
    }

    private static Who? Who(PolicyNode node, PolicySchemaVersion version)
    {
        var v1 = version == PolicySchemaVersion.V1;
        var keys = v1 ? node.Object("email", "domain", "group", "service_account") : node.Object("email", "group", "service_account");
        if (keys is null)
            return null;
        return new Who
        {
            Emails = Set(keys.Read("email", static list => list.List(PolicyLimits.MaxListEntries, Email))),
            Domains = Set(v1 ? keys.Read("domain", static list => list.List(PolicyLimits.MaxListEntries, Domain)) : null),
            Groups = Set(keys.Read("group", list => list.List<string>(PolicyLimits.MaxListEntries, v1 ? GroupId : static group => group.Text()))),
            ServiceAccounts = Set(keys.Read("service_account", static list => list.Texts())),
        };
    }

    private static HashSet<string> Set(IReadOnlyList<string>? values) => new(values ?? [], AsciiIgnoreCase.Instance);

    private static string? Email(PolicyNode node)
    {
        if (node.Text(254) is not { } text)
            return null;
        if (EmailShape().IsMatch(text))
            return text;
        return Reject(node, text.Contains('*', StringComparison.Ordinal)
            ? "E-mail addresses are compared as a whole, * is no wildcard; use a group."
            : "Not an e-mail address.");
    }

    private static string? Domain(PolicyNode node)
    {
        if (node.Text(253) is not { } text)
            return null;
        return DomainShape().IsMatch(text) ? text : Reject(node, "Not a mail domain such as example.com.");
    }

    private static string? GroupId(PolicyNode node)
    {
        if (node.Text() is not { } text)
            return null;
        return Guid.TryParse(text, out var id) ? id.ToString() : Reject(node, "In v1 a group is named by its id, a UUID.");
    }

    private static IpRange? Range(PolicyNode node)
    {
        if (node.Text() is not { } text)
            return null;
        if (IpRange.TryParse(text, out var error) is { } range)
            return range;
        node.Error(error!);
        return null;
    }

    private static IReadOnlyList<string>? Countries(PolicyNode node) => node.List(PolicyLimits.MaxListEntries, static entry =>
    {
        if (entry.Text() is not { } text)
            return null;
        return text.Length == 2 && text.All(char.IsAsciiLetter) ? text.ToUpperInvariant() : Reject(entry, "Not an ISO 3166-1 country code of two letters, such as NL.");
    });

    private static DateTimeOffset? Instant(PolicyNode node)
    {
        if (node.IsNull || node.Text() is not { } text)
            return null;
        if (InstantShape().IsMatch(text)
            && DateTimeOffset.TryParseExact(text, InstantFormats, CultureInfo.InvariantCulture, DateTimeStyles.None, out var instant))
            return instant.ToUniversalTime();
        node.Error("Not an RFC 3339 time with its offset, such as 2026-01-31T09:00:00Z.");
        return null;
    }

    private static ClockTime? Clock(PolicyNode node)
    {
        if (node.IsNull || node.Text() is not { } text)
            return null;
        if (ClockTime.TryParse(text, out var time, out var error))
            return time;
        node.Error(error);
        return null;
    }

    private static string? Reject(PolicyNode node, string message)
    {
        node.Error(message);
        return null;
    }

    // The framework would take a time without an offset as local time.
    [GeneratedRegex(@"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,16}(Z|[+-][0-9]{2}:[0-9]{2})\z", RegexOptions.CultureInvariant)]
    private static partial Regex InstantShape();

    [GeneratedRegex(@"\A[^@\s*]{1,64}@[^@\s*]{1,253}\z", RegexOptions.CultureInvariant)]
    private static partial Regex EmailShape();

    [GeneratedRegex(@"\A[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+\z", RegexOptions.CultureInvariant)]
    private static partial Regex DomainShape();
}
