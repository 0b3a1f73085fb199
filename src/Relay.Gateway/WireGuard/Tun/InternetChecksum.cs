using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace Relay.Gateway.WireGuard.Tun;

/// <summary>
/// The checksum of IP, TCP and UDP, RFC 1071. Sums are kept unfolded and in the machine's (little-endian) byte order, which
/// changes only the order of the result's bytes. Parts are summed apart when all but the last have an even length.
/// </summary>
internal static class InternetChecksum
{
    /// <summary>Adds bytes to a sum; an odd one at the end counts as if a zero followed.</summary>
    public static ulong Add(ulong sum, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<Vector<uint>> vectors = MemoryMarshal.Cast<byte, Vector<uint>>(bytes);
        if (vectors.Length > 1)
        {
            Vector<ulong> low = default, high = default;
            foreach (Vector<uint> vector in vectors)
            {
                // 64-bit lanes take 2^32 words of 32 bits before they overflow; a packet has 2^14.
                Vector.Widen(vector, out Vector<ulong> lower, out Vector<ulong> upper);
                low += lower;
                high += upper;
            }

            sum += Vector.Sum(low) + Vector.Sum(high);
            bytes = bytes[(vectors.Length * Vector<byte>.Count)..];
        }

        while (bytes.Length >= 4)
        {
            sum += BinaryPrimitives.ReadUInt32LittleEndian(bytes);
            bytes = bytes[4..];
        }

        if (bytes.Length >= 2)
        {
            sum += BinaryPrimitives.ReadUInt16LittleEndian(bytes);
            bytes = bytes[2..];
        }

        return bytes.IsEmpty ? sum : sum + bytes[0];
    }

    /// <summary>The sum of TCP's and UDP's pseudo header, RFC 9293 §3.1 and RFC 8200 §8.1.</summary>
    /// <param name="addresses">Source and destination as they lie in the header, 8 or 32 bytes.</param>
    /// <param name="protocol">6 or 17 or 58.</param>
    /// <param name="length">Bytes of the segment, its header included.</param>
    public static ulong Pseudo(ReadOnlySpan<byte> addresses, byte protocol, int length) =>
        Add(0, addresses) + BinaryPrimitives.ReverseEndianness((ushort)protocol) + BinaryPrimitives.ReverseEndianness((ushort)length);

    /// <summary>Folds a sum to 16 bits, without the complement: what a field holds that is to be filled in later.</summary>
    public static ushort Fold(ulong sum)
    {
        sum = (sum & 0xffffffff) + (sum >> 32);
        sum = (sum & 0xffffffff) + (sum >> 32);
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        return (ushort)((sum & 0xffff) + (sum >> 16));
    }

    /// <summary>Writes the folded sum into a field, as <see cref="Fold"/> says.</summary>
    public static void WritePartial(Span<byte> field, ulong sum) => BinaryPrimitives.WriteUInt16LittleEndian(field, Fold(sum));

    /// <summary>Writes the checksum into a field.</summary>
    public static void Write(Span<byte> field, ulong sum) => BinaryPrimitives.WriteUInt16LittleEndian(field, (ushort)~Fold(sum));
}
