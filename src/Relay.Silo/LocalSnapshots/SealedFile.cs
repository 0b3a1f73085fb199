// What: the bytes of one file of the local snapshot: JSON, compressed, sealed under the master key for its name.
// References: RFC 1952 (gzip); Secrets/README.md; README.md.
// Parameters (little-endian): "RLYSNAPS" (8) | version (4, 1) | sealed gzip of the JSON.
// Failure: InvalidDataException with one sentence, whatever is wrong; nothing is inflated that this grid has not sealed.
using System.Buffers.Binary;
using System.IO.Compression;
using Relay.Silo.Secrets;

namespace Relay.Silo.LocalSnapshots;

/// <summary>Layout of a file; see the head of this file.</summary>
internal static class SealedFile
{
    /// <summary>No file is larger: an organization of 100,000 users is some 10 MiB.</summary>
    public const int MaxFileBytes = 128 * 1024 * 1024;

    /// <summary>Of the JSON, inflated.</summary>
    public const int MaxJsonBytes = 1024 * 1024 * 1024;

    private const uint Version = 1;
    private const int HeadBytes = 12;

    private static ReadOnlySpan<byte> Magic => "RLYSNAPS"u8;

    /// <exception cref="InvalidDataException">It would be larger than a file may be.</exception>
    public static byte[] Seal(SecretVault vault, SecretPlace place, ReadOnlySpan<byte> json)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
            gzip.Write(json);
        var value = vault.Seal(place, packed.GetBuffer().AsSpan(0, (int)packed.Length));
        if (HeadBytes + value.Length > MaxFileBytes || json.Length > MaxJsonBytes)
            throw new InvalidDataException($"it is too large to be kept ({json.Length} bytes)");
        var file = new byte[HeadBytes + value.Length];
        Magic.CopyTo(file);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(8), Version);
        value.CopyTo(file, HeadBytes);
        return file;
    }

    /// <exception cref="InvalidDataException">It is not what was sealed for this place, or of a version that this one does not know.</exception>
    public static MemoryStream Open(SecretVault vault, SecretPlace place, ReadOnlySpan<byte> file)
    {
        if (file.Length < HeadBytes || !file[..8].SequenceEqual(Magic))
            throw new InvalidDataException("it is not a file of a local snapshot, or is cut off");
        if (BinaryPrimitives.ReadUInt32LittleEndian(file[8..]) is var version && version != Version)
            throw new InvalidDataException($"it is of format {version}, this version of Relay knows {Version}");
        byte[] packed;
        try
        {
            packed = vault.Open(place, file[HeadBytes..]);
        }
        catch (SecretException e)
        {
            throw new InvalidDataException(e.Message, e);
        }

        using var gzip = new GZipStream(new MemoryStream(packed), CompressionMode.Decompress);
        var json = new MemoryStream();
        var buffer = new byte[64 * 1024];
        int read;
        while ((read = gzip.Read(buffer)) > 0)
        {
            json.Write(buffer, 0, read);
            if (json.Length > MaxJsonBytes)
                throw new InvalidDataException("it is larger than a snapshot can be");
        }

        json.Position = 0;
        return json;
    }
}
