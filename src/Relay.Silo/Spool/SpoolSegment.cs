using System.Buffers.Binary;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;

namespace Relay.Silo.Spool;

/// <summary>
/// One file of the spool. Written by the process that made it, afterwards only read. One writer and one reader at a time; the reader
/// goes no further than <see cref="End"/>. Dispose closes the file.
/// </summary>
internal sealed class SpoolSegment : IDisposable
{
    private readonly SafeFileHandle _file;

    // One for each side: a cipher does one thing at a time.
    private readonly AesGcm _sealing;
    private readonly AesGcm _opening;
    private readonly long _mark;
    private long _end;
    private uint _nextIndex;

    /// <param name="key">32 bytes; wiped here.</param>
    private SpoolSegment(string path, SafeFileHandle file, byte[] key, long first, long mark)
    {
        (Path, _file, First, _mark, _end) = (path, file, first, mark, first);
        (_sealing, _opening) = (new AesGcm(key, SpoolFormat.TagBytes), new AesGcm(key, SpoolFormat.TagBytes));
        CryptographicOperations.ZeroMemory(key);
    }

    public string Path { get; }

    /// <summary>Offset of the first record.</summary>
    public long First { get; }

    /// <summary>Offset behind the last record that is safe on disk.</summary>
    public long End => Volatile.Read(ref _end);

    /// <summary>Records that were found when the file was opened; those appended since are not in it.</summary>
    public int Found { get; private set; }

    /// <summary>When the first of <see cref="Found"/> was written; null: there is none.</summary>
    public DateTimeOffset? Oldest { get; private set; }

    /// <summary>True when records that had been acknowledged cannot be read any more.</summary>
    public bool IsDamaged { get; private set; }

    /// <summary>Makes the file of an empty segment, safe on disk under its name.</summary>
    /// <exception cref="IOException">No space, or the folder is gone.</exception>
    public static SpoolSegment Create(string path, SecretVault vault)
    {
        var key = RandomNumberGenerator.GetBytes(SpoolFormat.KeyBytes);
        var header = SpoolFormat.Header(vault.Seal(Place(path), key));
        var draft = path + ".new";
        try
        {
            using (var file = PrivateFiles.OpenNew(draft))
            {
                file.Write(header);
                file.Flush(flushToDisk: true);
            }

            // A segment without its header can so never be seen under its name.
            File.Move(draft, path);
            PrivateFiles.SyncDirectory(System.IO.Path.GetDirectoryName(path)!);
        }
        catch
        {
            CryptographicOperations.ZeroMemory(key);
            File.Delete(draft);
            throw;
        }

        return new SpoolSegment(path, File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete), key, header.Length, header.Length);
    }

    /// <summary>Opens a segment that an earlier process left, and counts what is in it. A torn tail that nobody was told of is no damage.</summary>
    /// <exception cref="InvalidDataException">It is no segment, or its head is damaged.</exception>
    /// <exception cref="StorageException">It was sealed under another master key.</exception>
    public static SpoolSegment Open(string path, SecretVault vault)
    {
        var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            var start = new byte[2048];
            var read = RandomAccess.Read(file, start, 0);
            if (!SpoolFormat.TryReadHeader(start.AsSpan(0, read), out var sealedKey, out var mark, out var first))
                throw new InvalidDataException($"{path} is not a segment of the spool, or its head was changed");
            var key = vault.Open(Place(path), sealedKey);
            var segment = new SpoolSegment(path, file, key, first, mark);
            segment.Scan();
            return segment;
        }
        catch (SecretException e)
        {
            file.Dispose();
            throw new StorageException($"{e.Message}; the master key file is not the one this spool was written with (RELAY_MASTER_KEY_FILE)", e);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Appends records; they are safe on disk, and marked so, when this returns.</summary>
    /// <exception cref="IOException">They are not, and this segment must not be appended to any more.</exception>
    public void Append(IReadOnlyList<(DateTimeOffset At, ReadOnlyMemory<byte> Payload)> records)
    {
        var buffer = new byte[records.Sum(r => SpoolFormat.SizeOf(r.Payload.Length))];
        var used = 0;
        foreach (var (at, payload) in records)
        {
            SpoolFormat.WriteRecord(_sealing, _nextIndex++, at, payload.Span, buffer.AsSpan(used));
            used += SpoolFormat.SizeOf(payload.Length);
        }

        var end = End;
        try
        {
            RandomAccess.Write(_file, buffer, end);
            RandomAccess.FlushToDisk(_file);
        }
        catch
        {
            // What was written of it must not be taken for records by the next start.
            try
            {
                RandomAccess.SetLength(_file, end);
            }
            catch (IOException)
            {
                // It lies behind the mark: seen as what it is.
            }

            throw;
        }

        end += used;
        Span<byte> mark = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(mark, end);
        // Not synced: the records are, and without its mark an acknowledged record is no less a record.
        RandomAccess.Write(_file, mark, SpoolFormat.MarkOffset);
        Volatile.Write(ref _end, end);
    }

    /// <summary>Reads the record at <paramref name="offset"/> and moves behind it; what does not check is left out. Null: there is none up to <paramref name="end"/>.</summary>
    public (DateTimeOffset At, ReadOnlyMemory<byte> Payload)? Read(ref long offset, long end)
    {
        Span<byte> head = stackalloc byte[SpoolFormat.HeadBytes];
        while (offset < end)
        {
            var length = offset + head.Length <= end && RandomAccess.Read(_file, head, offset) == head.Length ? SpoolFormat.BodyLength(head) : 0;
            if (length == 0 || offset + head.Length + length > end)
            {
                // Where this record ends is not known; where the acknowledged ones end, is.
                offset = offset < _mark && _mark < end ? _mark : end;
                continue;
            }

            var body = new byte[length];
            var got = RandomAccess.Read(_file, body, offset + head.Length);
            offset += head.Length + length;
            if (got == length && SpoolFormat.Open(_opening, head, body) is { } record)
                return record;
        }

        return null;
    }

    public void Dispose()
    {
        _file.Dispose();
        _sealing.Dispose();
        _opening.Dispose();
    }

    // The name is part of what is sealed: one segment cannot stand in for another.
    private static SecretPlace Place(string path) => new("spool", "segment", System.IO.Path.GetFileNameWithoutExtension(path));

    private void Scan()
    {
        var length = RandomAccess.GetLength(_file);
        var offset = First;
        var sound = First;
        while (true)
        {
            var from = offset;
            if (Read(ref offset, length) is not { } record)
                break;
            // Records that do not check before one that does were acknowledged, or at least written whole once.
            Found++;
            Oldest ??= record.At;
            IsDamaged |= offset - SpoolFormat.SizeOf(record.Payload.Length) != from;
            sound = offset;
        }

        IsDamaged |= sound < _mark;
        _end = sound;
    }
}
