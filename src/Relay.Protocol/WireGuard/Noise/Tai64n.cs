using System.Buffers.Binary;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// TAI64N, whitepaper §5.1: 12 bytes, big-endian: seconds since 1970 TAI plus 2^62 (8), nanoseconds (4). The default value is
/// before every other.
/// </summary>
internal readonly record struct Tai64n(ulong Seconds, uint Nanoseconds)
{
    // 2^62, and the ten seconds that TAI was ahead in 1970; leap seconds since then only shift all clocks alike.
    private const ulong Offset = (1UL << 62) + 10;

    // Not finer than about 17 ms, so that the timestamp gives no fine clock away; less than between two initiations.
    private const uint Coarseness = (1 << 24) - 1;

    /// <summary>The timestamp of a time.</summary>
    public static Tai64n At(DateTimeOffset time)
    {
        long seconds = time.ToUnixTimeSeconds();
        long nanoseconds = (time - DateTimeOffset.FromUnixTimeSeconds(seconds)).Ticks * TimeSpan.NanosecondsPerTick;
        return new Tai64n(unchecked(Offset + (ulong)seconds), (uint)nanoseconds & ~Coarseness);
    }

    /// <summary>Reads 12 bytes.</summary>
    public static Tai64n Read(ReadOnlySpan<byte> bytes) => new(BinaryPrimitives.ReadUInt64BigEndian(bytes), BinaryPrimitives.ReadUInt32BigEndian(bytes[8..]));

    /// <summary>Writes 12 bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64BigEndian(bytes, Seconds);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[8..], Nanoseconds);
    }

    /// <summary>True when this one is later, as the bytes compare.</summary>
    public bool IsAfter(Tai64n other) => Seconds > other.Seconds || (Seconds == other.Seconds && Nanoseconds > other.Nanoseconds);
}
