namespace Orleans.Runtime;

/// <summary>What <see cref="IGrainFactory"/> returns: a proxy that sends each method call to the grain or observer. Equal when they reach the same one. Safe for concurrent use.</summary>
public abstract partial class GrainReference : IAddressable, IEquatable<GrainReference>
{
    /// <summary>Whom it reaches.</summary>
    public abstract GrainId GrainId { get; }

    /// <inheritdoc/>
    public bool Equals(GrainReference? other) => other is not null && GrainId == other.GrainId;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as GrainReference);

    /// <inheritdoc/>
    public override int GetHashCode() => GrainId.GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => GrainId.ToString();
}
