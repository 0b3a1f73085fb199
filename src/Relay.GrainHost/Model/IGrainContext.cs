namespace Orleans.Runtime;

/// <summary>The activation a grain instance lives in.</summary>
public interface IGrainContext
{
    /// <summary>Which grain this is.</summary>
    GrainId GrainId { get; }

    /// <summary>A reference that callers elsewhere can use.</summary>
    GrainReference GrainReference { get; }

    /// <summary>The grain object; null before it is made and after it ended.</summary>
    object? GrainInstance { get; }

    /// <summary>Services of this activation.</summary>
    IServiceProvider ActivationServices { get; }

    /// <summary>Completes when the activation has ended. Awaiting it inside the grain's own turn never ends.</summary>
    Task Deactivated { get; }

    /// <summary>Ends the activation once its running calls are done; calls that wait go to a new activation. Returns at once.</summary>
    void Deactivate(DeactivationReason deactivationReason, CancellationToken cancellationToken = default);
}
