using System.IO.Compression;

namespace Relay.Silo.Recordings;

/// <summary>Opens gzip with a bound.</summary>
internal static class ChunkInflater
{
    /// <summary>Null: not gzip, cut off, or larger than <see cref="RecordingLimits.MaxInflatedBytes"/> inflated.</summary>
    public static byte[]? TryInflate(ReadOnlyMemory<byte> gzip)
    {
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

        return result.ToArray();
    }
}
