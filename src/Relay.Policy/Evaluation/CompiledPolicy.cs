namespace Relay.Policy;

/// <summary>One policy, ready to be asked. Immutable.</summary>
internal sealed class CompiledPolicy(PolicyEntry entry)
{
    public static ReadOnlySpan<Clause> Clauses =>
    [
        Clause.Permission, Clause.Usernames, Clause.Duration, Clause.Who, Clause.AllowedIp, Clause.Country, Clause.CountryNot,
        Clause.After, Clause.Before, Clause.TimeOfDay, Clause.Expires, Clause.Integrations,
    ];

    public PolicyEntry Entry => entry;

    public PolicyModel Model { get; } = entry.Document.Model;

    public bool AppliesTo(SocketFacts socket)
    {
        if (entry.OrgWide || entry.SocketIds.Contains(socket.Id))
            return true;
        for (var i = 0; i < entry.TagRules.Count; i++)
        {
            if (MatchesTags(entry.TagRules[i], socket.Tags))
                return true;
        }

        return false;
    }

    /// <summary>The policy as a whole: every clause is met.</summary>
    public bool Allows(in Query query)
    {
        foreach (var clause in Clauses)
        {
            if (Judge(clause, query) != ReasonCode.Allowed)
                return false;
        }

        return true;
    }

    /// <summary><see cref="ReasonCode.Allowed"/> when the clause is met or absent, else why not.</summary>
    public ReasonCode Judge(Clause clause, in Query query)
    {
        var condition = Model.Condition;
        switch (clause)
        {
            case Clause.Permission:
                return PermissionJudge.Judge(Model.Permissions, query);
            case Clause.Usernames:
                return PermissionJudge.JudgeUsername(Model.Permissions, query);
            case Clause.Duration:
                return MaxSessionDuration(query) is not { } limit || query.Request.Now - query.StartedAt < limit ? ReasonCode.Allowed : ReasonCode.SessionTooLong;
            case Clause.Who:
                return condition.Who.Matches(query) ? ReasonCode.Allowed : ReasonCode.WhoNotMatched;
            case Clause.AllowedIp:
                return condition.AllowedIp.Count == 0 || InAny(condition.AllowedIp, query.Ip) ? ReasonCode.Allowed : ReasonCode.IpNotAllowed;
            case Clause.Country:
                return condition.Country.Count == 0 ? ReasonCode.Allowed
                    : query.Country is null ? ReasonCode.CountryUnknown
                    : Has(condition.Country, query.Country) ? ReasonCode.Allowed : ReasonCode.CountryNotAllowed;
            case Clause.CountryNot:
                return condition.CountryNot.Count == 0 ? ReasonCode.Allowed
                    : query.Country is null ? ReasonCode.CountryUnknown
                    : Has(condition.CountryNot, query.Country) ? ReasonCode.CountryExcluded : ReasonCode.Allowed;
            case Clause.After:
                return condition.After is { } after && query.Request.Now < after ? ReasonCode.NotYet : ReasonCode.Allowed;
            case Clause.Before:
                return condition.Before is { } before && query.Request.Now >= before ? ReasonCode.NoLonger : ReasonCode.Allowed;
            case Clause.TimeOfDay:
                return condition.Daily is null || condition.Daily.Contains(query.Request.Now) ? ReasonCode.Allowed : ReasonCode.OutsideTimeOfDay;
            case Clause.Expires:
                return entry.Expires is { } expires && query.Request.Now >= expires ? ReasonCode.NoLonger : ReasonCode.Allowed;
            case Clause.Integrations:
                return Model.Integrations.Count == 0 ? ReasonCode.Allowed : ReasonCode.IntegrationNotSupported;
            default:
                return ReasonCode.InvalidRequest;
        }
    }

    /// <summary>The policy's limit for this kind of socket; null: none.</summary>
    public TimeSpan? MaxSessionDuration(in Query query) => query.Key switch
    {
        PermissionKey.Ssh => Model.Permissions.Ssh?.MaxSessionDuration,
        PermissionKey.Database => Model.Permissions.Database?.MaxSessionDuration,
        PermissionKey.Tls => Model.Permissions.Tls?.MaxSessionDuration,
        _ => null,
    };

    /// <summary>When the policy, which must allow it now, stops to allow it; null: no clause ends it.</summary>
    public DateTimeOffset? EndsAt(in Query query)
    {
        var end = Earlier(Model.Condition.Before, entry.Expires);
        if (MaxSessionDuration(query) is { } limit)
            end = Earlier(end, query.StartedAt + limit);
        if (Model.Condition.Daily is { } daily)
            end = Earlier(end, daily.EndAfter(query.Request.Now));
        return end?.ToUniversalTime();
    }

    private static DateTimeOffset? Earlier(DateTimeOffset? x, DateTimeOffset? y) => x is null || y < x ? y ?? x : x;

    // An empty rule would hold for every socket by logic; it is nobody's intention, so it holds for none.
    private static bool MatchesTags(IReadOnlyDictionary<string, string> rule, IReadOnlyDictionary<string, string> tags)
    {
        foreach (var (key, value) in rule)
        {
            if (!tags.TryGetValue(key, out var actual) || !string.Equals(actual, value, StringComparison.Ordinal))
                return false;
        }

        return rule.Count > 0;
    }

    private static bool InAny(IReadOnlyList<IpRange> ranges, IpValue address)
    {
        for (var i = 0; i < ranges.Count; i++)
        {
            if (ranges[i].Contains(address))
                return true;
        }

        return false;
    }

    private static bool Has(IReadOnlyList<string> countries, string country)
    {
        for (var i = 0; i < countries.Count; i++)
        {
            if (AsciiIgnoreCase.Same(countries[i], country))
                return true;
        }

        return false;
    }
}
