// What: the bytes of a spool segment; each record sealed with AES-256-GCM under the segment's own key.
// References: NIST SP 800-38D; CRC-32C: RFC 3720 §12.1; README.md.
// Parameters (little-endian):
//   header = "RLYSPOOL" (8) | version (4, 1) | length of the sealed key (4) | mark (8) | sealed key | CRC-32C (4) of all but the mark
//   record = length of what follows the head (4) | CRC-32C (4) of length, index and what follows | index (4) | ciphertext | tag (16)
//   plaintext = Unix milliseconds (8) | payload. Nonce = index (4) | zero (8): a segment is written by one process once, so it never repeats.
//   The mark is the file's length up to which records were acknowledged. It is written after the sync and before the acknowledgement.
// Failure: a record that does not check is null; what that means, the mark says.
using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;

namespace Relay.Silo.Spool;

/// <summary>Layout of a segment; see the head of this file.</summary>
internal static class SpoolFormat
{
    public const int MarkOffset = 16;
    public const int RecordOverhead = HeadBytes + TimeBytes + TagBytes;

    /// <summary>No record is larger: a recording's chunk and its facts.</summary>
    public const int MaxPayloadBytes = 1024 * 1024;

    public const int HeadBytes = 12;
    public const int KeyBytes = 32;

    private const int TimeBytes = 8;
    public const int TagBytes = 16;
    private const int PreludeBytes = 24;
    private const int CrcBytes = 4;
    private const int MaxSealedKeyBytes = 1024;
    private const uint Version = 1;

    private static ReadOnlySpan<byte> Magic => "RLYSPOOL"u8;

    public static byte[] Header(ReadOnlySpan<byte> sealedKey)
    {
        var header = new byte[PreludeBytes + sealedKey.Length + CrcBytes];
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), Version);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(12), sealedKey.Length);
        sealedKey.CopyTo(header.AsSpan(PreludeBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(header.Length - CrcBytes), HeaderCrc(header));
        return header;
    }

    /// <summary>False: not a whole header of this version.</summary>
    /// <param name="length">Bytes of the header; the first record follows.</param>
    public static bool TryReadHeader(ReadOnlySpan<byte> file, out byte[] sealedKey, out long mark, out int length)
    {
        (sealedKey, mark, length) = ([], 0, 0);
        if (file.Length < PreludeBytes || !file[..8].SequenceEqual(Magic) || BinaryPrimitives.ReadUInt32LittleEndian(file[8..]) != Version)
            return false;
        var keyLength = BinaryPrimitives.ReadInt32LittleEndian(file[12..]);
        if (keyLength is <= 0 or > MaxSealedKeyBytes || file.Length < PreludeBytes + keyLength + CrcBytes)
            return false;
        length = PreludeBytes + keyLength + CrcBytes;
        if (BinaryPrimitives.ReadUInt32LittleEndian(file[(length - CrcBytes)..]) != HeaderCrc(file[..length]))
            return false;
        mark = BinaryPrimitives.ReadInt64LittleEndian(file[MarkOffset..]);
        sealedKey = file.Slice(PreludeBytes, keyLength).ToArray();
        return true;
    }

    /// <summary>Bytes that a payload takes in a segment.</summary>
    public static int SizeOf(int payloadBytes) => RecordOverhead + payloadBytes;

    /// <summary>Writes one record to the start of <paramref name="to"/>, which has room for <see cref="SizeOf"/>.</summary>
    public static void WriteRecord(AesGcm cipher, uint index, DateTimeOffset at, ReadOnlySpan<byte> payload, Span<byte> to)
    {
        var body = to.Slice(HeadBytes, TimeBytes + payload.Length + TagBytes);
        BinaryPrimitives.WriteInt32LittleEndian(to, body.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(to[8..], index);
        var plaintext = body[..^TagBytes];
        BinaryPrimitives.WriteInt64LittleEndian(plaintext, at.ToUnixTimeMilliseconds());
        payload.CopyTo(plaintext[TimeBytes..]);
        Span<byte> nonce = stackalloc byte[12];
        Nonce(index, nonce);
        cipher.Encrypt(nonce, plaintext, plaintext, body[^TagBytes..]);
        BinaryPrimitives.WriteUInt32LittleEndian(to[4..], RecordCrc(to, body));
    }

    /// <summary>Length of what follows a record's head; 0: no such length can have been written.</summary>
    public static int BodyLength(ReadOnlySpan<byte> head)
    {
        var length = BinaryPrimitives.ReadInt32LittleEndian(head);
        return length is >= TimeBytes + TagBytes and <= TimeBytes + MaxPayloadBytes + TagBytes ? length : 0;
    }

    /// <summary>Opens a record; null: it is not what was written.</summary>
    /// <param name="body">Decrypted in place.</param>
    public static (DateTimeOffset At, ReadOnlyMemory<byte> Payload)? Open(AesGcm cipher, ReadOnlySpan<byte> head, Memory<byte> body)
    {
        if (BinaryPrimitives.ReadUInt32LittleEndian(head[4..]) != RecordCrc(head, body.Span))
            return null;
        Span<byte> nonce = stackalloc byte[12];
        Nonce(BinaryPrimitives.ReadUInt32LittleEndian(head[8..]), nonce);
        var plaintext = body[..^TagBytes];
        try
        {
            cipher.Decrypt(nonce, plaintext.Span, body.Span[^TagBytes..], plaintext.Span);
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }

        return (DateTimeOffset.FromUnixTimeMilliseconds(BinaryPrimitives.ReadInt64LittleEndian(plaintext.Span)), plaintext[TimeBytes..]);
    }

    private static void Nonce(uint index, Span<byte> nonce)
    {
        nonce.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(nonce, index);
    }

    private static uint HeaderCrc(ReadOnlySpan<byte> header) => Crc(Crc(0, header[..MarkOffset]), header[PreludeBytes..^CrcBytes]);

    private static uint RecordCrc(ReadOnlySpan<byte> head, ReadOnlySpan<byte> body) => Crc(Crc(Crc(0, head[..4]), head.Slice(8, 4)), body);

    private static uint Crc(uint crc, ReadOnlySpan<byte> data)
    {
        crc = ~crc;
        while (data.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(data));
            data = data[sizeof(ulong)..];
        }

        foreach (var b in data)
            crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}
