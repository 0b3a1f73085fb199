using System.Runtime.CompilerServices;

namespace Relay.GrainHost.Serialization;

/// <summary>Writes and reads one type. Made once per type by <see cref="CodecRegistry"/>; safe for concurrent use.</summary>
internal abstract class Codec
{
    public abstract WireType WireType { get; }

    /// <summary>True when a value may be shared between caller and grain without a copy.</summary>
    public abstract bool IsImmutable { get; }
}

/// <inheritdoc/>
internal abstract class Codec<T> : Codec
{
    /// <summary>Writes a value that is not null.</summary>
    public abstract void Write(WireWriter writer, T value);

    /// <summary>Reads what <see cref="Write"/> wrote. Never returns null.</summary>
    public abstract T Read(ref WireReader reader);

    /// <summary>Whether the value is absent on the wire: null, or a default <c>ImmutableArray</c>.</summary>
    public virtual bool IsAbsent(T value) => value is null;

    /// <summary>Whether absence must be marked inside collections, where there are no tags to leave out.</summary>
    public virtual bool CanBeAbsent => RuntimeHelpers.IsReferenceOrContainsReferences<T>() && !typeof(T).IsValueType;

    public void WriteElement(WireWriter writer, T value)
    {
        if (CanBeAbsent)
        {
            var absent = IsAbsent(value);
            writer.WriteByte(absent ? (byte)0 : (byte)1);
            if (absent) return;
        }

        Write(writer, value);
    }

    public T ReadElement(ref WireReader reader)
    {
        if (CanBeAbsent)
        {
            switch (reader.ReadByte())
            {
                case 0: return default!;
                case 1: break;
                default: throw new WireFormatException("A presence mark is neither 0 nor 1.");
            }
        }

        return Read(ref reader);
    }

    /// <summary>A copy that shares nothing that can change.</summary>
    public T Copy(T value)
    {
        if (IsImmutable || IsAbsent(value)) return value;
        var writer = new WireWriter();
        Write(writer, value);
        var reader = new WireReader(writer.Written);
        return Read(ref reader);
    }
}
