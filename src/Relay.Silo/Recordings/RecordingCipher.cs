// What: seals the chunks of one recording; AES-256-GCM under the recording's own data key.
// References: NIST SP 800-38D; README.md.
// Parameters: chunk = nonce (12) | ciphertext | tag (16); nonce = seq (4 bytes, big-endian) | random (8): unique by the counter, and a
//   chunk that is sealed twice (a retry whose first answer was lost) never repeats one.
//   Associated data = session id (16) | recording number (4) | seq (4) | last (1): a chunk does not open in another place, and an
//   ended recording whose tail is missing is seen.
// Failure: AuthenticationTagMismatchException from Open.
using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Relay.Silo.Recordings;

/// <summary>Seals and opens chunks of one recording. Not thread-safe. Dispose wipes the key.</summary>
internal sealed class RecordingCipher : IDisposable
{
    public const int KeyBytes = 32;

    private const int NonceBytes = 12;
    private const int TagBytes = 16;
    private const int Overhead = NonceBytes + TagBytes;
    private const int AssociatedBytes = 16 + 4 + 4 + 1;

    private readonly AesGcm _cipher;
    private readonly Guid _session;
    private readonly int _recording;

    /// <param name="key">32 bytes; wiped here.</param>
    public RecordingCipher(byte[] key, Guid session, int recording)
    {
        _cipher = new AesGcm(key, TagBytes);
        CryptographicOperations.ZeroMemory(key);
        _session = session;
        _recording = recording;
    }

    public byte[] Seal(int sequence, bool last, ReadOnlySpan<byte> chunk)
    {
        var result = new byte[Overhead + chunk.Length];
        var nonce = result.AsSpan(0, NonceBytes);
        BinaryPrimitives.WriteInt32BigEndian(nonce, sequence);
        RandomNumberGenerator.Fill(nonce[4..]);
        Span<byte> associated = stackalloc byte[AssociatedBytes];
        WriteAssociated(associated, sequence, last);
        _cipher.Encrypt(nonce, chunk, result.AsSpan(NonceBytes, chunk.Length), result.AsSpan(result.Length - TagBytes), associated);
        return result;
    }

    /// <exception cref="CryptographicException">Changed, moved, or not marked <paramref name="last"/> as asked.</exception>
    public byte[] Open(int sequence, bool last, ReadOnlySpan<byte> value)
    {
        if (value.Length < Overhead || BinaryPrimitives.ReadInt32BigEndian(value) != sequence)
            throw new CryptographicException("The chunk is not where it was written.");
        var chunk = new byte[value.Length - Overhead];
        Span<byte> associated = stackalloc byte[AssociatedBytes];
        WriteAssociated(associated, sequence, last);
        _cipher.Decrypt(value[..NonceBytes], value[NonceBytes..^TagBytes], value[^TagBytes..], chunk, associated);
        return chunk;
    }

    public void Dispose() => _cipher.Dispose();

    private void WriteAssociated(Span<byte> to, int sequence, bool last)
    {
        _session.TryWriteBytes(to, bigEndian: true, out _);
        BinaryPrimitives.WriteInt32BigEndian(to[16..], _recording);
        BinaryPrimitives.WriteInt32BigEndian(to[20..], sequence);
        to[24] = last ? (byte)1 : (byte)0;
    }
}
