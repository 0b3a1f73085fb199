using System.Globalization;

namespace Relay.Policy;

/// <summary>Who, where and when: all three must be met. Immutable.</summary>
internal sealed class Condition
{
    public required Who Who { get; init; }

    /// <summary>Empty: any address.</summary>
    public IReadOnlyList<IpRange> AllowedIp { get; init; } = [];

    /// <summary>ISO 3166-1 alpha-2, upper case. Empty: any country, the unknown one too.</summary>
    public IReadOnlyList<string> Country { get; init; } = [];

    /// <summary>As <see cref="Country"/>. Empty: none is excluded.</summary>
    public IReadOnlyList<string> CountryNot { get; init; } = [];

    /// <summary>Inclusive; null: always.</summary>
    public DateTimeOffset? After { get; init; }

    /// <summary>Exclusive; null: for ever.</summary>
    public DateTimeOffset? Before { get; init; }

    /// <summary>Null: all day.</summary>
    public DailyWindow? Daily { get; init; }
}

/// <summary>The people a policy is for: any list may name them. Immutable.</summary>
internal sealed class Who
{
    public IReadOnlySet<string> Emails { get; init; } = Nobody;

    /// <summary>v1 only: the part of the e-mail address after the @, exactly.</summary>
    public IReadOnlySet<string> Domains { get; init; } = Nobody;

    public IReadOnlySet<string> Groups { get; init; } = Nobody;

    public IReadOnlySet<string> ServiceAccounts { get; init; } = Nobody;

    private static HashSet<string> Nobody { get; } = new(AsciiIgnoreCase.Instance);

    public bool Matches(in Query query)
    {
        var subject = query.Request.Subject;
        if (subject.Email.Length > 0 && Emails.Contains(subject.Email))
            return true;
        if (Domains.Count > 0 && query.EmailDomain is { } domain && Domains.Contains(domain))
            return true;
        if (subject.ServiceAccount is { Length: > 0 } name && ServiceAccounts.Contains(name))
            return true;
        if (Groups.Count > 0)
        {
            foreach (var group in subject.Groups)
            {
                if (Groups.Contains(group))
                    return true;
            }
        }

        return false;
    }

    public string Describe() => string.Join("; ", new[]
    {
        List("email", Emails), List("domain", Domains), List("group", Groups), List("service_account", ServiceAccounts),
    }.Where(text => text.Length > 0).DefaultIfEmpty("nobody"));

    private static string List(string name, IReadOnlySet<string> values) =>
        values.Count == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{name}: {string.Join(", ", values.Order(StringComparer.Ordinal))}");
}
