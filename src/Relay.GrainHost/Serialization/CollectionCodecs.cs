using System.Collections.Immutable;

namespace Relay.GrainHost.Serialization;

/// <summary>A value type that may be absent.</summary>
internal sealed class NullableCodec<T>(Codec<T> inner) : Codec<T?>
    where T : struct
{
    public override WireType WireType => inner.WireType;

    public override bool IsImmutable => inner.IsImmutable;

    public override bool CanBeAbsent => true;

    public override void Write(WireWriter writer, T? value) => inner.Write(writer, value!.Value);

    public override T? Read(ref WireReader reader) => inner.Read(ref reader);
}

/// <summary>An enumeration: its number, also one without a name here.</summary>
internal sealed class EnumCodec<T> : Codec<T>
    where T : struct, Enum
{
    private static readonly bool s_unsigned64 = Enum.GetUnderlyingType(typeof(T)) == typeof(ulong);

    public override WireType WireType => WireType.Varint;

    public override bool IsImmutable => true;

    public override void Write(WireWriter writer, T value) =>
        writer.WriteSigned(s_unsigned64 ? unchecked((long)Convert.ToUInt64(value, null)) : Convert.ToInt64(value, null));

    public override T Read(ref WireReader reader) => (T)Enum.ToObject(typeof(T), reader.ReadSigned());
}

/// <summary>A sequence: a block with the count and the elements.</summary>
internal abstract class SequenceCodec<TCollection, T>(Codec<T> element) : Codec<TCollection>
{
    protected Codec<T> Element { get; } = element;

    public override WireType WireType => WireType.Block;

    public override bool IsImmutable => false;

    public override void Write(WireWriter writer, TCollection value)
    {
        var block = writer.BeginBlock();
        WriteItems(writer, value);
        writer.EndBlock(block);
    }

    public override TCollection Read(ref WireReader reader)
    {
        var outer = reader.BeginBlock();
        var count = reader.ReadCount();
        var items = new List<T>(Math.Min(count, WireLimits.MaxInitialCapacity));
        for (var i = 0; i < count; i++) items.Add(Element.ReadElement(ref reader));
        reader.EndBlock(outer);
        return Make(items);
    }

    protected abstract void WriteItems(WireWriter writer, TCollection value);

    protected abstract TCollection Make(List<T> items);

    protected void WriteSpan(WireWriter writer, ReadOnlySpan<T> items)
    {
        writer.WriteVarint((uint)items.Length);
        foreach (var item in items) Element.WriteElement(writer, item);
    }
}

internal sealed class ArrayCodec<T>(Codec<T> element) : SequenceCodec<T[], T>(element)
{
    protected override void WriteItems(WireWriter writer, T[] value) => WriteSpan(writer, value);

    protected override T[] Make(List<T> items) => [.. items];
}

internal sealed class ListCodec<T>(Codec<T> element) : SequenceCodec<List<T>, T>(element)
{
    protected override void WriteItems(WireWriter writer, List<T> value) =>
        WriteSpan(writer, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(value));

    protected override List<T> Make(List<T> items) => items;
}

/// <summary>Any read-only list; the reader gets an array.</summary>
internal sealed class ReadOnlyListCodec<TCollection, T>(Codec<T> element) : SequenceCodec<TCollection, T>(element)
    where TCollection : IReadOnlyCollection<T>
{
    protected override void WriteItems(WireWriter writer, TCollection value)
    {
        var count = value.Count;
        writer.WriteVarint((uint)count);
        foreach (var item in value)
        {
            Element.WriteElement(writer, item);
            count--;
        }

        if (count != 0) throw new InvalidOperationException("The list changed while it was written.");
    }

    protected override TCollection Make(List<T> items) => (TCollection)(IReadOnlyCollection<T>)items.ToArray();
}

internal sealed class ImmutableArrayCodec<T>(Codec<T> element) : SequenceCodec<ImmutableArray<T>, T>(element)
{
    public override bool IsImmutable => Element.IsImmutable;

    public override bool CanBeAbsent => true;

    public override bool IsAbsent(ImmutableArray<T> value) => value.IsDefault;

    protected override void WriteItems(WireWriter writer, ImmutableArray<T> value) => WriteSpan(writer, value.AsSpan());

    protected override ImmutableArray<T> Make(List<T> items) => [.. items];
}

/// <summary>A dictionary: a block with the count and alternating keys and values.</summary>
internal sealed class DictionaryCodec<TCollection, TKey, TValue>(Codec<TKey> key, Codec<TValue> value) : Codec<TCollection>
    where TCollection : IReadOnlyCollection<KeyValuePair<TKey, TValue>>
    where TKey : notnull
{
    public override WireType WireType => WireType.Block;

    public override bool IsImmutable => false;

    public override void Write(WireWriter writer, TCollection value1)
    {
        var block = writer.BeginBlock();
        writer.WriteVarint((uint)value1.Count);
        foreach (var (k, v) in value1)
        {
            key.Write(writer, k);
            value.WriteElement(writer, v);
        }

        writer.EndBlock(block);
    }

    public override TCollection Read(ref WireReader reader)
    {
        var outer = reader.BeginBlock();
        var count = reader.ReadCount();
        var result = new Dictionary<TKey, TValue>(Math.Min(count, WireLimits.MaxInitialCapacity));
        for (var i = 0; i < count; i++)
        {
            var k = key.Read(ref reader);
            if (!result.TryAdd(k, value.ReadElement(ref reader))) throw new WireFormatException("A dictionary has a key twice.");
        }

        reader.EndBlock(outer);
        return (TCollection)(object)result;
    }
}
