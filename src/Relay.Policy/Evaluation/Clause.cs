namespace Relay.Policy;

/// <summary>The clauses of a policy, in document order; a policy allows when every one is met.</summary>
internal enum Clause
{
    Permission,
    Usernames,
    Duration,
    Who,
    AllowedIp,
    Country,
    CountryNot,
    After,
    Before,
    TimeOfDay,

    /// <summary>Of the policy, not of its document.</summary>
    Expires,
    Integrations,
}
