using System.Linq.Expressions;
using System.Reflection;

namespace Relay.GrainHost.Serialization;

/// <summary>One numbered member of a type.</summary>
internal abstract class MemberCodec<TObject>(uint key)
{
    /// <summary>The id and its space: <c>id &lt;&lt; 1 | 1</c> for a primary constructor parameter without <c>[Id]</c> on its property, else <c>id &lt;&lt; 1</c>.</summary>
    public uint Key { get; } = key;

    public abstract bool IsImmutable { get; }

    public abstract void Write(WireWriter writer, ref TObject instance);

    /// <summary>False: the value has another wire type than this member, so it is not understood.</summary>
    public abstract bool TryRead(ref WireReader reader, WireType type, ref TObject instance);
}

internal sealed class MemberCodec<TObject, TMember> : MemberCodec<TObject>
{
    private readonly Codec<TMember> _codec;
    private readonly Getter _get;
    private readonly Setter _set;

    public MemberCodec(uint key, MemberInfo member, Codec<TMember> codec)
        : base(key)
    {
        _codec = codec;
        // By reference, so that one shape serves classes and structs.
        var instance = Expression.Parameter(typeof(TObject).MakeByRefType(), "instance");
        var value = Expression.Parameter(typeof(TMember), "value");
        var access = Expression.MakeMemberAccess(instance, member);
        _get = Expression.Lambda<Getter>(access, instance).Compile();
        _set = Expression.Lambda<Setter>(Expression.Block(Expression.Assign(access, value), Expression.Empty()), instance, value).Compile();
    }

    private delegate TMember Getter(ref TObject instance);

    private delegate void Setter(ref TObject instance, TMember value);

    public override bool IsImmutable => _codec.IsImmutable;

    public override void Write(WireWriter writer, ref TObject instance)
    {
        var value = _get(ref instance);
        if (_codec.IsAbsent(value)) return;
        writer.WriteTag(Key, _codec.WireType);
        _codec.Write(writer, value);
    }

    public override bool TryRead(ref WireReader reader, WireType type, ref TObject instance)
    {
        if (type != _codec.WireType) return false;
        _set(ref instance, _codec.Read(ref reader));
        return true;
    }
}
