using System.Globalization;
using Orleans;
using Relay.GrainHost.Calls;
using Relay.GrainHost.Links;
using Relay.GrainHost.Observers;

namespace Relay.GrainHost.Hosting;

/// <inheritdoc/>
internal sealed class GrainFactory(CallRouter router, Func<ObserverTable> observers) : IGrainFactory
{
    public TGrainInterface GetGrain<TGrainInterface>(string primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithStringKey => Make<TGrainInterface>(primaryKey, grainClassNamePrefix);

    public TGrainInterface GetGrain<TGrainInterface>(Guid primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithGuidKey => Make<TGrainInterface>(primaryKey.ToString("N"), grainClassNamePrefix);

    public TGrainInterface GetGrain<TGrainInterface>(long primaryKey, string? grainClassNamePrefix = null)
        where TGrainInterface : IGrainWithIntegerKey => Make<TGrainInterface>(primaryKey.ToString("X", CultureInfo.InvariantCulture), grainClassNamePrefix);

    public TGrainObserverInterface CreateObjectReference<TGrainObserverInterface>(IGrainObserver obj)
        where TGrainObserverInterface : IGrainObserver
    {
        ArgumentNullException.ThrowIfNull(obj);
        return (TGrainObserverInterface)(object)observers().Add(typeof(TGrainObserverInterface), obj);
    }

    public void DeleteObjectReference<TGrainObserverInterface>(IGrainObserver obj)
        where TGrainObserverInterface : IGrainObserver => observers().Remove(obj);

    private TGrainInterface Make<TGrainInterface>(string key, string? prefix)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(key);
        if (prefix is not null) throw new ArgumentException("The built-in host has one class for an interface.", nameof(prefix));
        if (key.Length > LinkWire.MaxKeyBytes || System.Text.Encoding.UTF8.GetByteCount(key) > LinkWire.MaxKeyBytes) throw new ArgumentException($"A grain's key has at most {LinkWire.MaxKeyBytes} bytes.", nameof(key));
        var type = router.Types.Get(typeof(TGrainInterface));
        return (TGrainInterface)(object)type.MakeReference(new CallTarget(router, type, key));
    }
}
