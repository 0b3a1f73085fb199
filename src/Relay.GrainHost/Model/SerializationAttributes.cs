namespace Orleans;

/// <summary>The type travels in grain calls. Its members carry <see cref="IdAttribute"/>; it should carry <see cref="AliasAttribute"/>.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Enum)]
public sealed class GenerateSerializerAttribute : Attribute
{
    /// <summary>
    /// Whether primary constructor parameters are members without having an id of their own (their position is the id,
    /// counted apart from explicit ids). Records always behave so; setting it true makes classes do too.
    /// </summary>
    public bool IncludePrimaryConstructorParameters { get; init; }
}

/// <summary>The number of a member on the wire. Never reuse or renumber one.</summary>
/// <param name="id">Unique within the type.</param>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Property | AttributeTargets.Parameter | AttributeTargets.Class
    | AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Method)]
public sealed class IdAttribute(uint id) : Attribute
{
    /// <summary>The number.</summary>
    public uint Id { get; } = id;
}

/// <summary>The name of a type, interface or method on the wire: it survives renames. Never give it to something else.</summary>
/// <param name="alias">Unique among types; for a method, unique within its interface.</param>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Interface | AttributeTargets.Struct | AttributeTargets.Enum
    | AttributeTargets.Method, AllowMultiple = true)]
public sealed class AliasAttribute(string alias) : Attribute
{
    /// <summary>The name.</summary>
    public string Alias { get; } = alias;
}

/// <summary>The name of a grain class in identities: it survives renames. Never give it to something else.</summary>
/// <param name="grainType">Unique among grain classes. Without one it is the class name in lower case, less "grain".</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class GrainTypeAttribute(string grainType) : Attribute
{
    internal string GrainType { get; } = grainType;
}

/// <summary>Nobody changes the value after it was made, so a call within a silo passes it without a copy. The host believes it.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Field | AttributeTargets.Property
    | AttributeTargets.Parameter | AttributeTargets.ReturnValue, Inherited = false)]
public sealed class ImmutableAttribute : Attribute;
