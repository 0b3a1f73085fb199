namespace Orleans.Runtime;

/// <summary>The name of a kind of grain: the lower-case class name without its "Grain" ending, or the class's alias.</summary>
public readonly record struct GrainType
{
    private readonly string? _value;

    private GrainType(string value) => _value = value;

    /// <summary>True for the default value, which names nothing.</summary>
    public bool IsDefault => _value is null;

    /// <summary>Wraps <paramref name="value"/>.</summary>
    public static GrainType Create(string value) => new(value);

    /// <summary>The name; empty for the default value.</summary>
    public override string ToString() => _value ?? "";
}

/// <summary>The key of a grain within its type.</summary>
public readonly record struct IdSpan
{
    private readonly string? _value;

    private IdSpan(string value) => _value = value;

    /// <summary>True for the default value, which is no key.</summary>
    public bool IsDefault => _value is null;

    /// <summary>Wraps <paramref name="value"/>.</summary>
    public static IdSpan Create(string value) => new(value);

    /// <summary>The key; empty for the default value.</summary>
    public override string ToString() => _value ?? "";
}

/// <summary>The identity of a grain: its type and key. Written <c>type/key</c>.</summary>
/// <param name="Type">What kind of grain.</param>
/// <param name="Key">Which one.</param>
public readonly record struct GrainId(GrainType Type, IdSpan Key)
{
    /// <summary>True for the default value, which identifies nothing.</summary>
    public bool IsDefault => Type.IsDefault && Key.IsDefault;

    /// <summary>Makes an identity from its two names.</summary>
    public static GrainId Create(string type, string key) => new(GrainType.Create(type), IdSpan.Create(key));

    /// <inheritdoc/>
    public override string ToString() => $"{Type}/{Key}";
}
