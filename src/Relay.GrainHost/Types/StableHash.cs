using System.Text;

namespace Relay.GrainHost.Types;

/// <summary>Hashes that are equal in every process and version: they are on the wire and decide placement.</summary>
internal static class StableHash
{
    /// <summary>FNV-1a over the UTF-8 bytes, then the 64-bit finalizer of MurmurHash3 so that every bit counts.</summary>
    public static ulong Of(string text)
    {
        var hash = 14695981039346656037UL;
        Span<byte> buffer = stackalloc byte[256];
        var bytes = Encoding.UTF8.GetByteCount(text) <= buffer.Length
            ? buffer[..Encoding.UTF8.GetBytes(text, buffer)]
            : Encoding.UTF8.GetBytes(text);
        foreach (var b in bytes) hash = unchecked((hash ^ b) * 1099511628211UL);
        return Mix(hash);
    }

    /// <summary>Order matters.</summary>
    public static ulong Combine(ulong first, ulong second) => Mix(unchecked((first * 31) + second));

    private static ulong Mix(ulong hash)
    {
        unchecked
        {
            hash ^= hash >> 33;
            hash *= 0xff51afd7ed558ccdUL;
            hash ^= hash >> 33;
            hash *= 0xc4ceb9fe1a85ec53UL;
            return hash ^ (hash >> 33);
        }
    }
}
