using System.Runtime.CompilerServices;

namespace Relay.GrainHost.Serialization;

/// <summary>The untyped side of an object's codec, for values of a derived type.</summary>
internal interface IObjectCodec
{
    string Alias { get; }

    Type Type { get; }

    void WriteMembers(WireWriter writer, object value);

    object ReadMembers(ref WireReader reader);
}

/// <summary>
/// A type with <c>[GenerateSerializer]</c>: a block with its type (0: the declared one; else length + 1 and the alias) and its
/// numbered members. Members that are absent keep their default; numbers that are unknown are skipped.
/// </summary>
internal sealed class ObjectCodec<T>(CodecRegistry registry, string alias, bool declaredImmutable, bool record) : Codec<T>, IObjectCodec
{
    private static readonly Func<T>? s_constructor = ParameterlessConstructor();

    private MemberCodec<T>[] _members = [];
    private bool? _immutable;

    public override WireType WireType => WireType.Block;

    public string Alias => alias;

    public Type Type => typeof(T);

    /// <summary>Declared so, or a sealed record of nothing but immutable members.</summary>
    public override bool IsImmutable
    {
        get
        {
            if (_immutable is { } known) return known;
            if (declaredImmutable) return true;
            if (!record || (!typeof(T).IsValueType && !typeof(T).IsSealed)) return false;
            // A type that contains itself must not ask for ever.
            _immutable = true;
            var all = true;
            foreach (var member in _members) all &= member.IsImmutable;
            _immutable = all;
            return all;
        }
    }

    /// <summary>Second step of making the codec, so that a type can contain itself.</summary>
    public void SetMembers(MemberCodec<T>[] members) => _members = members;

    public override void Write(WireWriter writer, T value)
    {
        var block = writer.BeginBlock();
        if (typeof(T).IsValueType || value!.GetType() == typeof(T))
        {
            writer.WriteByte(0);
            WriteMembers(writer, ref value);
        }
        else
        {
            var actual = registry.GetDerived(value.GetType(), typeof(T));
            writer.WriteVarint((uint)System.Text.Encoding.UTF8.GetByteCount(actual.Alias) + 1);
            var name = writer.Take(System.Text.Encoding.UTF8.GetByteCount(actual.Alias));
            System.Text.Encoding.UTF8.GetBytes(actual.Alias, name);
            actual.WriteMembers(writer, value);
        }

        writer.EndBlock(block);
    }

    public override T Read(ref WireReader reader)
    {
        var outer = reader.BeginBlock();
        var nameLength = reader.ReadVarint();
        T value;
        if (nameLength == 0)
        {
            value = ReadTyped(ref reader);
        }
        else
        {
            if (nameLength - 1 > (uint)reader.Remaining) throw new WireFormatException("The message is cut short.");
            var name = System.Text.Encoding.UTF8.GetString(reader.Take((int)(nameLength - 1)));
            value = (T)registry.GetDerived(name, typeof(T)).ReadMembers(ref reader);
        }

        reader.EndBlock(outer);
        return value;
    }

    void IObjectCodec.WriteMembers(WireWriter writer, object value)
    {
        var typed = (T)value;
        WriteMembers(writer, ref typed);
    }

    object IObjectCodec.ReadMembers(ref WireReader reader) => ReadTyped(ref reader)!;

    /// <summary>The members alone, without block and type: how call arguments travel.</summary>
    public void WriteMembers(WireWriter writer, ref T value)
    {
        foreach (var member in _members) member.Write(writer, ref value);
    }

    /// <inheritdoc cref="WriteMembers(WireWriter, ref T)"/>
    public T ReadTyped(ref WireReader reader)
    {
        if (typeof(T).IsAbstract) throw new WireFormatException($"'{alias}' is abstract.");
        var value = s_constructor is null ? (T)RuntimeHelpers.GetUninitializedObject(typeof(T)) : s_constructor();
        var members = _members;
        // Writers write in order, so the next member is nearly always the one expected.
        var next = 0;
        while (reader.TryReadTag(out var key, out var type))
        {
            var at = next;
            while (at < members.Length && members[at].Key != key) at++;
            if (at == members.Length)
            {
                at = 0;
                while (at < next && members[at].Key != key) at++;
                if (at == next) at = -1;
            }

            if (at < 0)
            {
                reader.Skip(type);
                continue;
            }

            if (!members[at].TryRead(ref reader, type, ref value)) throw new WireFormatException($"Member {key >> 1} of '{alias}' has another type.");
            next = at + 1;
        }

        return value;
    }

    private static Func<T>? ParameterlessConstructor()
    {
        if (typeof(T).IsValueType) return static () => default!;
        if (typeof(T).IsAbstract || typeof(T).GetConstructor(Type.EmptyTypes) is not { } constructor) return null;
        return System.Linq.Expressions.Expression.Lambda<Func<T>>(System.Linq.Expressions.Expression.New(constructor)).Compile();
    }
}
