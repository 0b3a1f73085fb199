namespace Relay.Policy;

/// <summary>Collects what is wrong with one document, bounded. Not thread-safe.</summary>
internal sealed class ErrorList
{
    private readonly List<PolicyError> _errors = [];

    public IReadOnlyList<PolicyError> Errors => _errors;

    /// <summary>Nothing more will be kept, so callers may stop looking.</summary>
    public bool IsFull => _errors.Count > PolicyLimits.MaxErrors;

    public void Add(string path, string message)
    {
        if (IsFull)
            return;
        _errors.Add(_errors.Count < PolicyLimits.MaxErrors
            ? new PolicyError(path, message)
            : new PolicyError("$", "There are more errors; these are the first."));
    }
}
