using Relay.Policy;
using Relay.Silo.Snapshots;

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

    /// <summary>As <see cref="Explain()"/>, with the id of an equal decision that is on record.</summary>
    public string Explain(Guid onRecord) => Explain().Replace(DecisionId.ToString("D"), onRecord.ToString("D"), StringComparison.Ordinal);

    /// <summary>Why in a few words, for outcome and log.</summary>
    public string Brief => _refusal ?? Decision.ReasonCode.ToText();

    public static SessionVerdict Of(Decision decision) => new(decision);

    /// <summary>The refusal of whatever the device's user may otherwise use, when their login on the device is over; null: it is not.</summary>
    public static SessionVerdict? LoginEnded(OrgDevice device, OrgSnapshot organization, DateTimeOffset now, Guid decisionId) => device.LoginValidUntil <= now
        ? Refused(decisionId, organization.Version, $"the login of device {device.Name} has ended: log in again with relay device renew {device.Name}")
        : null;

    /// <summary>What policies were not even asked about: user, credential or socket are gone.</summary>
    public static SessionVerdict Refused(Guid decisionId, long policyVersion, string refusal) => new(decisionId, policyVersion, refusal);
}
