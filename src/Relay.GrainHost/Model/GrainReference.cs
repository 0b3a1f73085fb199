using Relay.GrainHost.Calls;
using Relay.GrainHost.Types;

namespace Orleans.Runtime;

/// <summary>What <see cref="IGrainFactory"/> returns: a proxy that sends each method call to the grain or observer. Equal when they reach the same one. Safe for concurrent use.</summary>
public abstract class GrainReference : IAddressable, IEquatable<GrainReference>
{
    internal GrainReference(CallTarget target)
    {
        Target = target;
    }

    /// <summary>Whom it reaches.</summary>
    public GrainId GrainId => Target.GrainId;

    internal CallTarget Target { get; }

    /// <inheritdoc/>
    public bool Equals(GrainReference? other) => other is not null && GrainId == other.GrainId;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as GrainReference);

    /// <inheritdoc/>
    public override int GetHashCode() => GrainId.GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => GrainId.ToString();

    // The proxies' methods end in one of these, by what they return.
    internal Task<TResult> Call<TArguments, TResult>(GrainMethod<TArguments, TResult> method, TArguments arguments, CancellationToken token)
        where TArguments : struct => Target.CallAsync(method, arguments, token);

    internal ValueTask<TResult> CallValue<TArguments, TResult>(GrainMethod<TArguments, TResult> method, TArguments arguments, CancellationToken token)
        where TArguments : struct => new(Target.CallAsync(method, arguments, token));

    internal ValueTask CallValueWithoutResult<TArguments, TResult>(GrainMethod<TArguments, TResult> method, TArguments arguments, CancellationToken token)
        where TArguments : struct => new(Target.CallAsync(method, arguments, token));

    internal void Send<TArguments, TResult>(GrainMethod<TArguments, TResult> method, TArguments arguments, CancellationToken token)
        where TArguments : struct => _ = Target.CallAsync(method, arguments, token);
}
