namespace Orleans;

/// <summary>Why an activation ends.</summary>
public enum DeactivationReasonCode : byte
{
    /// <summary>Not said.</summary>
    None,

    /// <summary>The silo shuts down.</summary>
    ShuttingDown,

    /// <summary><see cref="Grain.OnActivateAsync"/> failed.</summary>
    ActivationFailed,

    /// <summary>The grain belongs to another silo now: the set of silos has changed.</summary>
    DirectoryFailure,

    /// <summary>Nobody called for the collection age.</summary>
    ActivationIdle,

    /// <summary>Not used by the built-in host.</summary>
    ActivationUnresponsive,

    /// <summary>Not used by the built-in host.</summary>
    DuplicateActivation,

    /// <summary>Not used by the built-in host.</summary>
    IncompatibleRequest,

    /// <summary>Not used by the built-in host.</summary>
    ApplicationError,

    /// <summary>The grain called <c>DeactivateOnIdle</c>.</summary>
    ApplicationRequested,

    /// <summary>Not used by the built-in host.</summary>
    Migrating,

    /// <summary>The host asked for it.</summary>
    RuntimeRequested,

    /// <summary>Not used by the built-in host.</summary>
    HighMemoryPressure,
}

/// <summary>Why an activation ends, in code and words.</summary>
/// <param name="code">The closed reason.</param>
/// <param name="exception">What went wrong; null when nothing did.</param>
/// <param name="text">For the log.</param>
public readonly struct DeactivationReason(DeactivationReasonCode code, Exception? exception, string text)
{
    /// <summary>A reason without an exception.</summary>
    public DeactivationReason(DeactivationReasonCode code, string text)
        : this(code, null, text)
    {
    }

    /// <summary>The closed reason.</summary>
    public DeactivationReasonCode ReasonCode { get; } = code;

    /// <summary>For the log.</summary>
    public string Description { get; } = text;

    /// <summary>What went wrong; null when nothing did.</summary>
    public Exception? Exception { get; } = exception;

    /// <inheritdoc/>
    public override string ToString() => Exception is null
        ? $"{ReasonCode}: {Description}"
        : $"{ReasonCode}: {Description} ({Exception.GetType().Name}: {Exception.Message})";
}
