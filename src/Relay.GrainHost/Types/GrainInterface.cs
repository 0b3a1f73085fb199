using System.Reflection;
using Orleans;
using Orleans.Runtime;

namespace Relay.GrainHost.Types;

/// <summary>A grain or observer interface that the host knows.</summary>
internal sealed class GrainInterface(Type type)
{
    private Func<Calls.CallTarget, GrainReference>? _makeReference;

    public Type Type { get; } = type;

    public string Alias { get; } = type.GetCustomAttributes<AliasAttribute>(false).FirstOrDefault()?.Alias ?? type.FullName!;

    public bool IsObserver { get; } = typeof(IGrainObserver).IsAssignableFrom(type);

    /// <summary>Null for an observer interface, and for a grain interface that no class implements here.</summary>
    public GrainClass? Class { get; set; }

    public IReadOnlyList<GrainMethod> Methods { get; set; } = [];

    public void SetProxy(Func<Calls.CallTarget, GrainReference> make) => _makeReference = make;

    public GrainReference MakeReference(Calls.CallTarget target) => _makeReference!(target);
}

/// <summary>A grain class that the host can activate. Compared by reference.</summary>
/// <param name="type">The class.</param>
/// <param name="name">What identities begin with: the alias, or the lower-case class name without its "Grain" ending.</param>
/// <param name="reentrant">Whether all its calls interleave.</param>
/// <param name="create">Makes an object with constructor parameters from the services.</param>
internal sealed class GrainClass(Type type, string name, bool reentrant, Func<IServiceProvider, object> create)
{
    public Type Type { get; } = type;

    public string Name { get; } = name;

    public bool Reentrant { get; } = reentrant;

    public GrainType GrainType { get; } = GrainType.Create(name);

    /// <summary>Identity in hashes: equal on all silos.</summary>
    public ulong Hash { get; } = StableHash.Of(name);

    public object Create(IServiceProvider services) => create(services);
}
