namespace Relay.Policy;

/// <summary>What a <see cref="Decision"/> points at.</summary>
internal sealed class DecisionFacts
{
    public required AccessRequest Request { get; init; }

    public required ReasonCode Code { get; init; }

    public required long PolicyVersion { get; init; }

    public Guid? PolicyId { get; init; }

    public string PolicyName { get; init; } = "";

    public IReadOnlyList<PolicyReason> Reasons { get; init; } = [];

    public int PoliciesConsidered { get; init; }

    public TimeSpan? MaxSessionDuration { get; init; }

    public bool RecordInput { get; init; }

    public AccessGrant? Grant { get; init; }
}
