using System.Buffers.Binary;
using System.Net;

namespace Relay.GrainHost.Serialization;

/// <summary>A type whose encoding is a pair of functions.</summary>
internal sealed class ScalarCodec<T>(WireType wireType, Action<WireWriter, T> write, ScalarCodec<T>.ReadValue read, bool immutable = true) : Codec<T>
{
    public delegate T ReadValue(ref WireReader reader);

    public override WireType WireType => wireType;

    public override bool IsImmutable => immutable;

    public override void Write(WireWriter writer, T value) => write(writer, value);

    public override T Read(ref WireReader reader) => read(ref reader);
}

/// <summary>The types that need no description of their own.</summary>
internal static class ScalarCodecs
{
    public static IEnumerable<KeyValuePair<Type, Codec>> All =>
    [
        Of<bool>(WireType.Varint, (w, v) => w.WriteVarint(v ? 1u : 0u), (ref r) => r.ReadVarint() switch
        {
            0 => false,
            1 => true,
            _ => throw new WireFormatException("A boolean is neither 0 nor 1."),
        }),
        Of<byte>(WireType.Varint, (w, v) => w.WriteVarint(v), (ref r) => (byte)Unsigned(ref r, byte.MaxValue)),
        Of<ushort>(WireType.Varint, (w, v) => w.WriteVarint(v), (ref r) => (ushort)Unsigned(ref r, ushort.MaxValue)),
        Of<char>(WireType.Varint, (w, v) => w.WriteVarint(v), (ref r) => (char)Unsigned(ref r, char.MaxValue)),
        Of<uint>(WireType.Varint, (w, v) => w.WriteVarint(v), (ref r) => (uint)Unsigned(ref r, uint.MaxValue)),
        Of<ulong>(WireType.Varint, (w, v) => w.WriteVarint(v), (ref r) => r.ReadVarint()),
        Of<sbyte>(WireType.Varint, (w, v) => w.WriteSigned(v), (ref r) => (sbyte)Signed(ref r, sbyte.MinValue, sbyte.MaxValue)),
        Of<short>(WireType.Varint, (w, v) => w.WriteSigned(v), (ref r) => (short)Signed(ref r, short.MinValue, short.MaxValue)),
        Of<int>(WireType.Varint, (w, v) => w.WriteSigned(v), (ref r) => (int)Signed(ref r, int.MinValue, int.MaxValue)),
        Of<long>(WireType.Varint, (w, v) => w.WriteSigned(v), (ref r) => r.ReadSigned()),
        Of<float>(WireType.Fixed64, (w, v) => w.WriteFixed64((ulong)BitConverter.DoubleToInt64Bits(v)), (ref r) => (float)BitConverter.Int64BitsToDouble((long)r.ReadFixed64())),
        Of<double>(WireType.Fixed64, (w, v) => w.WriteFixed64((ulong)BitConverter.DoubleToInt64Bits(v)), (ref r) => BitConverter.Int64BitsToDouble((long)r.ReadFixed64())),
        Of<decimal>(WireType.Bytes, WriteDecimal, ReadDecimal),
        Of<string>(WireType.Bytes, (w, v) => w.WriteString(v), (ref r) => r.ReadString()),
        Of<Guid>(WireType.Bytes, WriteGuid, (ref r) => new Guid(r.ReadBytes(16))),
        Of<TimeSpan>(WireType.Varint, (w, v) => w.WriteSigned(v.Ticks), (ref r) => new TimeSpan(r.ReadSigned())),
        Of<DateTimeOffset>(WireType.Bytes, WriteDateTimeOffset, ReadDateTimeOffset),
        Of<DateTime>(WireType.Fixed64, (w, v) => w.WriteFixed64((ulong)v.ToBinary()), ReadDateTime),
        Of<IPAddress>(WireType.Bytes, WriteAddress, ReadAddress),
        new(typeof(byte[]), new ScalarCodec<byte[]>(WireType.Bytes, (w, v) => w.WriteBytes(v), (ref r) => r.ReadBytes().ToArray(), immutable: false)),
    ];

    private static KeyValuePair<Type, Codec> Of<T>(WireType wireType, Action<WireWriter, T> write, ScalarCodec<T>.ReadValue read) =>
        new(typeof(T), new ScalarCodec<T>(wireType, write, read));

    private static ulong Unsigned(ref WireReader reader, ulong max)
    {
        var value = reader.ReadVarint();
        return value <= max ? value : throw new WireFormatException("A number is out of range.");
    }

    private static long Signed(ref WireReader reader, long min, long max)
    {
        var value = reader.ReadSigned();
        return value >= min && value <= max ? value : throw new WireFormatException("A number is out of range.");
    }

    private static void WriteGuid(WireWriter writer, Guid value)
    {
        writer.WriteByte(16);
        value.TryWriteBytes(writer.Take(16));
    }

    private static void WriteDecimal(WireWriter writer, decimal value)
    {
        writer.WriteByte(16);
        Span<int> bits = stackalloc int[4];
        decimal.GetBits(value, bits);
        foreach (var part in bits) writer.WriteFixed32((uint)part);
    }

    private static decimal ReadDecimal(ref WireReader reader)
    {
        var bytes = reader.ReadBytes(16);
        Span<int> bits = stackalloc int[4];
        for (var i = 0; i < 4; i++) bits[i] = BinaryPrimitives.ReadInt32LittleEndian(bytes[(4 * i)..]);
        try
        {
            return new decimal(bits);
        }
        catch (ArgumentException)
        {
            throw new WireFormatException("A decimal has a scale or sign that cannot be.");
        }
    }

    /// <summary>10 bytes: 64-bit little-endian UTC ticks, 16-bit little-endian offset in minutes.</summary>
    private static void WriteDateTimeOffset(WireWriter writer, DateTimeOffset value)
    {
        writer.WriteByte(10);
        var bytes = writer.Take(10);
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value.UtcTicks);
        BinaryPrimitives.WriteInt16LittleEndian(bytes[8..], (short)value.TotalOffsetMinutes);
    }

    private static DateTimeOffset ReadDateTimeOffset(ref WireReader reader)
    {
        var bytes = reader.ReadBytes(10);
        var utcTicks = BinaryPrimitives.ReadInt64LittleEndian(bytes);
        var minutes = BinaryPrimitives.ReadInt16LittleEndian(bytes[8..]);
        try
        {
            return new DateTimeOffset(utcTicks, TimeSpan.Zero).ToOffset(TimeSpan.FromMinutes(minutes));
        }
        catch (ArgumentException)
        {
            throw new WireFormatException("A time is out of range.");
        }
    }

    private static DateTime ReadDateTime(ref WireReader reader)
    {
        try
        {
            return DateTime.FromBinary((long)reader.ReadFixed64());
        }
        catch (ArgumentException)
        {
            throw new WireFormatException("A time is out of range.");
        }
    }

    /// <summary>4 or 16 bytes in network order. A scope id means nothing on another machine and is left out.</summary>
    private static void WriteAddress(WireWriter writer, IPAddress value)
    {
        Span<byte> bytes = stackalloc byte[16];
        value.TryWriteBytes(bytes, out var length);
        writer.WriteBytes(bytes[..length]);
    }

    private static IPAddress ReadAddress(ref WireReader reader)
    {
        var bytes = reader.ReadBytes();
        return bytes.Length is 4 or 16 ? new IPAddress(bytes) : throw new WireFormatException("An address has neither 4 nor 16 bytes.");
    }
}
