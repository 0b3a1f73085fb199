namespace Relay.Policy;

/// <summary>The answer to an <see cref="AccessRequest"/>. <c>default</c> is a refusal. Immutable; safe to share.</summary>
public readonly struct Decision
{
    private readonly DecisionFacts? _facts;

    internal Decision(DecisionFacts facts) => _facts = facts;

    /// <summary>The request's decision id; empty for <c>default</c>.</summary>
    public Guid Id => _facts?.Request.DecisionId ?? Guid.Empty;

    /// <summary>The verdict.</summary>
    public Verdict Verdict => _facts?.Grant is null ? Verdict.Deny : Verdict.Allow;

    /// <summary>True exactly when <see cref="Grant"/> is present.</summary>
    public bool Allowed => _facts?.Grant is not null;

    /// <summary>
    /// True when it is allowed, or when in one policy nothing but the user name on the target stands against it: whoever has not said yet as
    /// whom they want to log in may still be let in as somebody.
    /// </summary>
    public bool IsWithinReach => Allowed || Reasons.GroupBy(reason => reason.PolicyId).Any(policy => policy.All(reason => reason.Code == ReasonCode.UsernameNotAllowed));

    /// <summary>The decision's reason; what each policy said is in <see cref="Reasons"/>.</summary>
    public ReasonCode ReasonCode => _facts?.Code ?? ReasonCode.NotEvaluated;

    /// <summary>The first policy (by name) that allowed it; null when denied.</summary>
    public Guid? PolicyId => _facts?.PolicyId;

    /// <summary>Name of <see cref="PolicyId"/>; empty when denied.</summary>
    public string PolicyName => _facts?.PolicyName ?? "";

    /// <summary>Version of the organization's policies; 0 for <c>default</c>.</summary>
    public long PolicyVersion => _facts?.PolicyVersion ?? 0;

    /// <summary>
    /// When denied: every clause that failed, of at most <see cref="CompiledPolicies.MaxExplainedPolicies"/> policies, nearest miss first.
    /// Empty when allowed (<see cref="PolicyTester"/> lists everything).
    /// </summary>
    public IReadOnlyList<PolicyReason> Reasons => _facts?.Reasons ?? [];

    /// <summary>How many policies apply to the socket and did not allow the request, those left out of <see cref="Reasons"/> included; 0 when allowed.</summary>
    public int PoliciesConsidered => _facts?.PoliciesConsidered ?? 0;

    /// <summary>Longest duration among the policies that allow it, counted from the session's start; null: no limit, or denied.</summary>
    public TimeSpan? MaxSessionDuration => _facts?.MaxSessionDuration;

    /// <summary>True when any policy that allows it has <c>permissions.ssh.recording.input</c>.</summary>
    public bool RecordInput => _facts?.RecordInput ?? false;

    /// <summary>The proof, present exactly when allowed.</summary>
    public AccessGrant? Grant => _facts?.Grant;

    /// <summary>
    /// Lines for the person who asked, separated by '\n', no trailing newline, at most 12: what was refused, clause and own fact per policy,
    /// the smallest change that would allow it, the decision id. Names of policies, sockets and users are shown in quotes, bounded, with control and invisible characters replaced.
    /// SECURITY: never holds the contents of a clause, so no other user's address or list leaks (L20).
    /// </summary>
    public string Explain() => DecisionText.ForRequester(_facts);

    /// <summary>As <see cref="Explain"/>, for administrators: each clause with everything it asks for.</summary>
    public string ExplainInFull() => DecisionText.ForAdministrator(_facts);
}
