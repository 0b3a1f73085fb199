using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Concurrency;
using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Types;

/// <summary>Everything the host knows of the grain assemblies, found once at start. Immutable afterwards; safe for concurrent use.</summary>
internal sealed class GrainTypes
{
    private readonly Dictionary<Type, GrainInterface> _interfaces = [];
    private readonly Dictionary<ulong, GrainMethod> _methods = [];

    /// <exception cref="NotSupportedException">A type cannot be hosted; the message says which and why.</exception>
    public GrainTypes(IEnumerable<Assembly> assemblies, Func<GrainTypes, Type, Codec> references)
    {
        Codecs = new CodecRegistry(type => references(this, type));
        var all = assemblies.Distinct().ToArray();
        var types = all.SelectMany(a => a.GetTypes()).ToArray();
        foreach (var type in types.Where(IsCallable)) _interfaces[type] = new GrainInterface(type);
        foreach (var assembly in all) Codecs.AddAssembly(assembly);
        foreach (var type in types.Where(t => t is { IsClass: true, IsAbstract: false } && typeof(IGrainBase).IsAssignableFrom(t))) AddClass(type);
        var proxies = new ProxyBuilder();
        foreach (var known in _interfaces.Values) AddMethods(known, proxies);
    }

    public CodecRegistry Codecs { get; }

    public IEnumerable<GrainInterface> Interfaces => _interfaces.Values;

    /// <exception cref="ArgumentException">The host does not know the interface.</exception>
    public GrainInterface Get(Type type) => _interfaces.TryGetValue(type, out var known)
        ? known
        : throw new ArgumentException($"The grain host does not know {type}: add its assembly to GrainHostOptions.GrainAssemblies.");

    /// <summary>By the number on the wire; null when there is none, as when the peer is newer.</summary>
    public GrainMethod? Find(ulong method) => _methods.GetValueOrDefault(method);

    private static bool IsCallable(Type type) => type is { IsInterface: true, IsGenericType: false }
        && (typeof(IGrain).IsAssignableFrom(type) || typeof(IGrainObserver).IsAssignableFrom(type))
        && type.Namespace != "Orleans";

    private void AddClass(Type type)
    {
        var name = type.GetCustomAttribute<GrainTypeAttribute>(false)?.GrainType ?? DefaultName(type);
        var factory = new Lazy<ObjectFactory>(() => ActivatorUtilities.CreateFactory(type, Type.EmptyTypes));
        var made = new GrainClass(type, name, type.IsDefined(typeof(ReentrantAttribute), true), services => factory.Value(services, null));
        foreach (var implemented in type.GetInterfaces().Where(_interfaces.ContainsKey))
        {
            var known = _interfaces[implemented];
            if (known.IsObserver) continue;
            if (known.Class is { } other) throw new NotSupportedException($"{implemented} is implemented by both {other.Type} and {type}.");
            known.Class = made;
        }
    }

    private static string DefaultName(Type type)
    {
        var name = type.Name.ToLowerInvariant();
        return name.Length > 5 && name.EndsWith("grain", StringComparison.Ordinal) ? name[..^5] : name;
    }

    private void AddMethods(GrainInterface known, ProxyBuilder proxies)
    {
        var described = MethodBuilding.MethodsOf(known.Type).Select(m => (m, MethodBuilding.Describe(known, m, Codecs))).ToArray();
        known.Methods = [.. described.Select(d => d.Item2)];
        foreach (var method in known.Methods)
        {
            if (!_methods.TryAdd(method.Id, method)) throw new NotSupportedException($"{method} and {_methods[method.Id]} have the same name on the wire: give one an alias.");
        }

        known.SetProxy(proxies.Build(known.Type, described));
    }
}
