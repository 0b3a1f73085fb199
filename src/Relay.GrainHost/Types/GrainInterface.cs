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

/// <summary>A grain class that the host can activate.</summary>
/// <param name="Type">The class.</param>
/// <param name="Name">What identities begin with: the alias, or the lower-case class name without its "Grain" ending.</param>
/// <param name="Reentrant">Whether all its calls interleave.</param>
/// <param name="Create">Makes an object with constructor parameters from the services.</param>
internal sealed record GrainClass(Type Type, string Name, bool Reentrant, Func<IServiceProvider, object> Create)
{
    public GrainType GrainType { get; } = GrainType.Create(Name);

    /// <summary>Identity in hashes: equal on all silos.</summary>
    public ulong Hash { get; } = StableHash.Of(Name);
}
