using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Reflection;
using Orleans;
using Orleans.Runtime;

namespace Relay.GrainHost.Serialization;

/// <summary>
/// The codecs of a host, one per type. Only types that a registered grain interface mentions, or that a registered assembly
/// marks with <c>[GenerateSerializer]</c>, have one: nothing else can be written or read. Safe for concurrent use.
/// </summary>
internal sealed class CodecRegistry
{
    private readonly ConcurrentDictionary<Type, Codec> _codecs = new(ScalarCodecs.All);
    private readonly ConcurrentDictionary<string, IObjectCodec> _byAlias = new(StringComparer.Ordinal);
    private readonly Lock _building = new();
    private readonly Func<Type, Codec>? _references;

    /// <param name="references">Makes the codec of a grain or observer interface; null where there are no references.</param>
    public CodecRegistry(Func<Type, Codec>? references = null)
    {
        _references = references;
    }

    /// <summary>Makes known what <paramref name="assembly"/> marks, so that values of derived types can travel.</summary>
    public void AddAssembly(Assembly assembly)
    {
        foreach (var type in assembly.GetTypes())
        {
            if (type.IsDefined(typeof(GenerateSerializerAttribute), false) && !type.ContainsGenericParameters) Get(type);
        }
    }

    /// <exception cref="NotSupportedException">The type, or one of its members, cannot travel; the message says why.</exception>
    public Codec<T> Get<T>() => (Codec<T>)Get(typeof(T));

    /// <inheritdoc cref="Get{T}"/>
    public Codec Get(Type type)
    {
        if (_codecs.TryGetValue(type, out var known)) return known;
        lock (_building) return GetOrBuild(type);
    }

    /// <summary>For values whose type is not the declared one.</summary>
    public IObjectCodec GetDerived(Type actual, Type declared) =>
        _codecs.TryGetValue(actual, out var codec) && codec is IObjectCodec known
            ? known
            : throw new NotSupportedException($"{actual} is sent as {declared} but is not registered: mark it with [GenerateSerializer] and [Alias].");

    /// <inheritdoc cref="GetDerived(Type, Type)"/>
    public IObjectCodec GetDerived(string alias, Type declared) =>
        _byAlias.TryGetValue(alias, out var known) && declared.IsAssignableFrom(known.Type)
            ? known
            : throw new WireFormatException("A value is of a type that is not expected here.");

    private Codec GetOrBuild(Type type)
    {
        if (_codecs.TryGetValue(type, out var known)) return known;
        var codec = Build(type);
        _codecs[type] = codec;
        return codec;
    }

    private Codec Build(Type type)
    {
        if (type.IsEnum) return Make(typeof(EnumCodec<>), [type]);
        if (type.IsArray && type.GetArrayRank() == 1) return MakeWithElements(typeof(ArrayCodec<>), type.GetElementType()!);
        if (typeof(IAddressable).IsAssignableFrom(type) && type.IsInterface && _references is not null) return _references(type);
        if (type.IsGenericType)
        {
            var definition = type.GetGenericTypeDefinition();
            var arguments = type.GetGenericArguments();
            if (definition == typeof(Nullable<>)) return MakeWithElements(typeof(NullableCodec<>), arguments);
            if (definition == typeof(List<>)) return MakeWithElements(typeof(ListCodec<>), arguments);
            if (definition == typeof(ImmutableArray<>)) return MakeWithElements(typeof(ImmutableArrayCodec<>), arguments);
            if (definition == typeof(IReadOnlyList<>) || definition == typeof(IReadOnlyCollection<>))
                return Make(typeof(ReadOnlyListCodec<,>), [type, arguments[0]], GetOrBuild(arguments[0]));
            if (definition == typeof(Dictionary<,>) || definition == typeof(IReadOnlyDictionary<,>))
                return Make(typeof(DictionaryCodec<,,>), [type, .. arguments], GetOrBuild(arguments[0]), GetOrBuild(arguments[1]));
        }

        if (type.IsDefined(typeof(GenerateSerializerAttribute), false))
        {
            return (Codec)typeof(CodecRegistry).GetMethod(nameof(BuildObject), BindingFlags.Instance | BindingFlags.NonPublic)!
                .MakeGenericMethod(type).Invoke(this, BindingFlags.DoNotWrapExceptions, null, null, null)!;
        }

        throw new NotSupportedException($"{type} cannot travel in a grain call: it is no known type and has no [GenerateSerializer].");
    }

    private ObjectCodec<T> BuildObject<T>()
    {
        var alias = typeof(T).GetCustomAttributes<AliasAttribute>(false).FirstOrDefault()?.Alias ?? typeof(T).FullName!;
        var codec = new ObjectCodec<T>(this, alias, typeof(T).IsDefined(typeof(ImmutableAttribute), false), TypeMembers.IsRecord(typeof(T)));
        if (!_byAlias.TryAdd(alias, codec)) throw new NotSupportedException($"'{alias}' names both {typeof(T)} and {_byAlias[alias].Type}.");
        _codecs[typeof(T)] = codec;
        try
        {
            codec.SetMembers([.. TypeMembers.Of(typeof(T)).Select(member =>
                (MemberCodec<T>)Activator.CreateInstance(
                    typeof(MemberCodec<,>).MakeGenericType(typeof(T), member.Type), member.Key, member.Member, GetOrBuild(member.Type))!)]);
        }
        catch
        {
            _codecs.TryRemove(typeof(T), out _);
            _byAlias.TryRemove(alias, out _);
            throw;
        }

        return codec;
    }

    /// <summary>Call arguments: a value tuple whose members are numbered by position. Not reachable by name.</summary>
    public ObjectCodec<TArguments> BuildArguments<TArguments>(string name)
        where TArguments : struct
    {
        var codec = new ObjectCodec<TArguments>(this, name, declaredImmutable: false, record: false);
        codec.SetMembers([.. typeof(TArguments).GetFields().Select((field, position) =>
            (MemberCodec<TArguments>)Activator.CreateInstance(
                typeof(MemberCodec<,>).MakeGenericType(typeof(TArguments), field.FieldType), (uint)position << 1, field, Get(field.FieldType))!)]);
        return codec;
    }

    private Codec MakeWithElements(Type definition, params Type[] elements) =>
        Make(definition, elements, [.. elements.Select(element => (object)GetOrBuild(element))]);

    private static Codec Make(Type definition, Type[] arguments, params object[] parameters) =>
        (Codec)Activator.CreateInstance(definition.MakeGenericType(arguments), parameters)!;
}
