namespace Relay.Policy;

/// <summary>A valid document of either schema as the evaluator sees it. Immutable.</summary>
internal sealed class PolicyModel
{
    public required PolicySchemaVersion Version { get; init; }

    public required Permissions Permissions { get; init; }

    public required Condition Condition { get; init; }

    /// <summary>v1: names of integrations that would have to agree. Not empty: the policy allows nothing, because nobody can ask them.</summary>
    public IReadOnlyList<string> Integrations { get; init; } = [];
}
