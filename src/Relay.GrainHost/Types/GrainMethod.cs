using Relay.GrainHost.Calls;
using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Types;

/// <summary>A method of a grain or observer interface: how it is called, and how its call travels. Immutable.</summary>
internal abstract class GrainMethod(GrainInterface declaring, string name)
{
    public GrainInterface Interface { get; } = declaring;

    /// <summary>The alias, or else the method's name.</summary>
    public string Name { get; } = name;

    /// <summary>On the wire: the hash of "interface.method".</summary>
    public ulong Id { get; } = StableHash.Of($"{declaring.Alias}.{name}");

    public bool TakesToken { get; init; }

    public bool OneWay { get; init; }

    public bool AlwaysInterleave { get; init; }

    public bool ReadOnly { get; init; }

    /// <summary>Null: the host's default.</summary>
    public TimeSpan? Timeout { get; init; }

    /// <summary>Makes the call that a peer sent; its arguments are what <paramref name="reader"/> holds.</summary>
    public abstract Request ReadCall(ref WireReader reader, InboundCall origin);

    public override string ToString() => $"{Interface.Alias}.{Name}";
}

/// <inheritdoc/>
/// <typeparam name="TArguments">A value tuple of the parameters without the cancellation token.</typeparam>
/// <typeparam name="TResult">What the method's task brings; <see cref="Nothing"/> when it brings none.</typeparam>
internal sealed class GrainMethod<TArguments, TResult>(
    GrainInterface declaring,
    string name,
    Func<object, TArguments, CancellationToken, ValueTask<TResult>> invoke,
    ObjectCodec<TArguments> arguments,
    Codec<TResult>? result) : GrainMethod(declaring, name)
    where TArguments : struct
{
    public Func<object, TArguments, CancellationToken, ValueTask<TResult>> Invoke { get; } = invoke;

    public ObjectCodec<TArguments> Arguments { get; } = arguments;

    /// <summary>Null when there is no result.</summary>
    public Codec<TResult>? Result { get; } = result;

    /// <summary>Whether caller and grain could see each other's changes to an argument.</summary>
    public required bool CopyArguments { get; init; }

    public required bool CopyResult { get; init; }

    public override Request ReadCall(ref WireReader reader, InboundCall origin) =>
        new InboundRequest<TArguments, TResult>(this, Arguments.ReadTyped(ref reader), origin);

    public TArguments Copy(TArguments arguments)
    {
        if (!CopyArguments) return arguments;
        var writer = new WireWriter();
        Arguments.WriteMembers(writer, ref arguments);
        var reader = new WireReader(writer.Written);
        return Arguments.ReadTyped(ref reader);
    }
}
