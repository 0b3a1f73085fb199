using Relay.Policy;

namespace Relay.Silo.Sessions;

/// <summary>The answer to one question about a session. <c>default</c> is a refusal.</summary>
internal readonly struct SessionVerdict
{
    private readonly string? _refusal;

    private SessionVerdict(Guid decisionId, long policyVersion, string refusal)
    {
        DecisionId = decisionId;
        PolicyVersion = policyVersion;
        _refusal = refusal;
    }

    private SessionVerdict(Decision decision)
    {
        Decision = decision;
        DecisionId = decision.Id;
        PolicyVersion = decision.PolicyVersion;
    }

    public Guid DecisionId { get; }

    public long PolicyVersion { get; }

    /// <summary><c>default</c> (a refusal) when it did not come to policies.</summary>
    public Decision Decision { get; }

    public AccessGrant? Grant => Decision.Grant;

    public bool Allowed => Decision.Grant is not null;

    /// <summary>For the user, with the decision id.</summary>
    public string Explain() => _refusal is null ? Decision.Explain() : $"Access denied: {_refusal}.\nDecision {DecisionId:D}";

    /// <summary>Why in a few words, for outcome and log.</summary>
    public string Brief => _refusal ?? Decision.ReasonCode.ToText();

    public static SessionVerdict Of(Decision decision) => new(decision);

    /// <summary>What policies were not even asked about: user, credential or socket are gone.</summary>
    public static SessionVerdict Refused(Guid decisionId, long policyVersion, string refusal) => new(decisionId, policyVersion, refusal);
}
