namespace Orleans;

/// <summary>Makes references to grains. A reference is cheap, never fails, and reaches nobody until a method is called. Safe for concurrent use.</summary>
public interface IGrainFactory
{
    /// <summary>A reference to the grain with <paramref name="primaryKey"/>.</summary>
    /// <param name="primaryKey">Not empty; at most 512 bytes of UTF-8.</param>
    /// <param name="grainClassNamePrefix">Must be null in the built-in host: one class implements an interface.</param>
    /// <exception cref="ArgumentException">The interface is not known to the host, or the key is empty or too long.</exception>
    TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithStringKey;

    /// <inheritdoc cref="GetGrain{TGrainInterface}(string, string?)"/>
    TGrainInterface GetGrain<TGrainInterface>(Guid primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithGuidKey;

    /// <inheritdoc cref="GetGrain{TGrainInterface}(string, string?)"/>
    TGrainInterface GetGrain<TGrainInterface>(long primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithIntegerKey;

    /// <summary>
    /// Makes <paramref name="obj"/> callable from any silo. The host holds it weakly: keep it alive yourself.
    /// Calls arrive one at a time, on the thread pool.
    /// </summary>
    TGrainObserverInterface CreateObjectReference<TGrainObserverInterface>(IGrainObserver obj)
        where TGrainObserverInterface : IGrainObserver;

    /// <summary>Ends what <see cref="CreateObjectReference{T}"/> began; <paramref name="obj"/> is the reference it returned. Unknown references are ignored.</summary>
    void DeleteObjectReference<TGrainObserverInterface>(IGrainObserver obj)
        where TGrainObserverInterface : IGrainObserver;
}
