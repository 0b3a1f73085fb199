namespace Relay.Tests.Silo.Fencing.Model;

/// <summary>SplitMix64: the same numbers for the same seed, everywhere and for ever.</summary>
internal sealed class SeededRandom(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>0 up to, not including, <paramref name="below"/>.</summary>
    public int Next(int below) => (int)(Next() % (ulong)below);

    /// <summary>Both ends included.</summary>
    public int Between(int from, int to) => from + Next(to - from + 1);

    public bool Chance(int percent) => Next(100) < percent;

    public T Pick<T>(IReadOnlyList<T> from) => from[Next(from.Count)];

    public Guid Guid()
    {
        Span<byte> bytes = stackalloc byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(bytes, Next());
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], Next());
        return new Guid(bytes);
    }
}
