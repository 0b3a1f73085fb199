using System.Buffers.Binary;
using System.IO.Compression;

namespace Relay.Silo.Recordings;

/// <summary>Opens gzip with a bound.</summary>
internal static class ChunkInflater
{
    private const int MinBytes = 18;

    /// <summary>One gzip member. Null: not gzip, cut off, or larger than <see cref="RecordingLimits.MaxInflatedBytes"/> inflated.</summary>
    public static byte[]? TryInflate(ReadOnlyMemory<byte> gzip)
    {
        // RFC 1952 §2.3: the magic at the start; at the end the length, without which a cut chunk would pass for a whole one.
        if (gzip.Length < MinBytes || gzip.Span[0] != 0x1f || gzip.Span[1] != 0x8b)
            return null;
        var claimed = BinaryPrimitives.ReadUInt32LittleEndian(gzip.Span[^4..]);
        if (claimed > RecordingLimits.MaxInflatedBytes)
            return null;
        using var source = new MemoryStream(gzip.ToArray(), writable: false);
        using var inflate = new GZipStream(source, CompressionMode.Decompress);
        using var result = new MemoryStream();
        var buffer = new byte[16 * 1024];
        try
        {
            int read;
            while ((read = inflate.Read(buffer)) > 0)
            {
                // L16: the bound comes before the allocation; a bomb stops here.
                if (result.Length + read > RecordingLimits.MaxInflatedBytes)
                    return null;
                result.Write(buffer, 0, read);
            }
        }
        catch (InvalidDataException)
        {
            return null;
        }

        return result.Length == claimed ? result.ToArray() : null;
    }
}
