using Orleans.Runtime;
using Relay.GrainHost.Activations;

namespace Orleans;

/// <summary>What a grain class may call on itself, also without deriving from <see cref="Grain"/>.</summary>
public interface IGrainBase
{
    /// <summary>The activation this object lives in.</summary>
    IGrainContext GrainContext { get; }

    /// <summary>Runs before the first call; when it throws, the waiting calls fail and the activation is dropped.</summary>
    /// <param name="cancellationToken">Cancelled when activation takes too long.</param>
    Task OnActivateAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Runs after the last call. Not guaranteed: a silo may just die.</summary>
    /// <param name="reason">Why it ends.</param>
    /// <param name="cancellationToken">Cancelled when deactivation takes too long.</param>
    Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => Task.CompletedTask;
}

/// <summary>
/// Base class of grains. The host makes one object per key when it is first called, with constructor parameters from the
/// services, and runs its code one turn at a time: fields need no locks. Code after <c>ConfigureAwait(false)</c> or inside
/// <c>Task.Run</c> is outside the turns.
/// </summary>
public abstract class Grain : IGrainBase, IAddressable
{
    /// <summary>Called by the host.</summary>
    /// <exception cref="InvalidOperationException">The object is not made by a grain host.</exception>
    protected Grain()
        : this(ActivationScope.Current ?? throw new InvalidOperationException("Grains are made by the grain host only."))
    {
    }

    /// <summary>For tests of a grain class without a host.</summary>
    protected Grain(IGrainContext grainContext)
    {
        ArgumentNullException.ThrowIfNull(grainContext);
        GrainContext = grainContext;
    }

    /// <inheritdoc/>
    public IGrainContext GrainContext { get; }

    /// <summary>A reference to this grain that callers elsewhere can use.</summary>
    public GrainReference GrainReference => GrainContext.GrainReference;

    /// <summary>The identity in words, for logs.</summary>
    public string IdentityString => GrainContext.GrainId.ToString();

    /// <summary>Makes references to other grains.</summary>
    protected IGrainFactory GrainFactory => (GrainContext as IGrainRuntime)?.GrainFactory
        ?? (IGrainFactory?)ServiceProvider.GetService(typeof(IGrainFactory))
        ?? throw new InvalidOperationException("The services have no IGrainFactory.");

    /// <summary>Services of this activation.</summary>
    protected internal IServiceProvider ServiceProvider => GrainContext.ActivationServices;

    /// <inheritdoc/>
    public virtual Task OnActivateAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public virtual Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Ends this activation once its running calls are done; the next call makes a new one.</summary>
    protected void DeactivateOnIdle() => GrainBaseExtensions.DeactivateOnIdle(this);

    /// <summary>Keeps this activation from idle collection for at least <paramref name="timeSpan"/>; zero or less takes that back.</summary>
    protected void DelayDeactivation(TimeSpan timeSpan) => (GrainContext as IGrainRuntime)?.DelayDeactivation(timeSpan);
}
