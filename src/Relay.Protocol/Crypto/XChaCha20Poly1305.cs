using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

// What: XChaCha20-Poly1305: HChaCha20 makes a key of its own for each nonce of 24 bytes, ChaCha20-Poly1305 does the rest.
// References: draft-irtf-cfrg-xchacha-03 §2.2 (HChaCha20), §2.3; RFC 8439 §2.3.
// Parameters: key 32 bytes, nonce 24 bytes (random ones do not meet), tag 16 bytes.
// Failure: a wrong tag is "false"; the text is as it was then.
//
// libcrypto has no HChaCha20, but its ChaCha20 gives it away: a block of key stream is the state after the rounds plus
// the state before them, word by word modulo 2^32, and HChaCha20 is words 0–3 and 12–15 after the rounds. Before them
// those eight words are the four constants and the nonce, both public: subtracting them leaves HChaCha20. So the rounds
// are libcrypto's, in constant time.

/// <summary>XChaCha20-Poly1305 in one shot. Safe for concurrent use: the calling thread's own contexts do the work.</summary>
internal static class XChaCha20Poly1305
{
    /// <summary>Length of the key, in bytes.</summary>
    public const int KeyLength = 32;

    /// <summary>Length of the nonce, in bytes.</summary>
    public const int NonceLength = 24;

    /// <summary>Length of the tag, in bytes.</summary>
    public const int TagLength = ChaCha20Poly1305Context.TagLength;

    // Of the nonce, what HChaCha20 takes; the other 8 bytes are ChaCha20-Poly1305's nonce after four zeros.
    private const int CoreNonceLength = 16;

    /// <summary>The four constant words of ChaCha20's state, RFC 8439 §2.3.</summary>
    private static ReadOnlySpan<byte> Constants => "expand 32-byte k"u8;

    /// <summary>Encrypts <paramref name="text"/> in place and writes the tag over it and <paramref name="associated"/>.</summary>
    /// <exception cref="ArgumentException">A length is wrong.</exception>
    public static void Encrypt(ReadOnlySpan<byte> key, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, Span<byte> text, Span<byte> tag)
    {
        Span<byte> derived = stackalloc byte[KeyLength];
        ChaCha20Poly1305OneShot.Encrypt(derived, Derive(key, nonce, derived), associated, text, tag);
        CryptographicOperations.ZeroMemory(derived);
    }

    /// <summary>Decrypts <paramref name="text"/> in place; false, with the text as it was, when the tag is not the right one.</summary>
    /// <exception cref="ArgumentException">A length is wrong.</exception>
    public static bool TryDecrypt(ReadOnlySpan<byte> key, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        Span<byte> derived = stackalloc byte[KeyLength];
        bool good = ChaCha20Poly1305OneShot.TryDecrypt(derived, Derive(key, nonce, derived), associated, text, tag);
        CryptographicOperations.ZeroMemory(derived);
        return good;
    }

    /// <summary>HChaCha20: writes the 32 bytes derived from a key of 32 and a nonce of 16.</summary>
    /// <exception cref="ArgumentException">A length is wrong.</exception>
    public static void HChaCha20(ReadOnlySpan<byte> key, ReadOnlySpan<byte> nonce, Span<byte> derived)
    {
        if (nonce.Length != CoreNonceLength) throw new ArgumentException("The nonce is 16 bytes.", nameof(nonce));
        Span<byte> block = stackalloc byte[64];
        block.Clear();
        using (StreamCipher cipher = StreamCipher.ChaCha20(key, nonce)) cipher.Apply(block, block);
        Subtract(block[..16], Constants, derived);
        Subtract(block[48..], nonce, derived[16..]);
        CryptographicOperations.ZeroMemory(block);
    }

    private static void Subtract(ReadOnlySpan<byte> from, ReadOnlySpan<byte> what, Span<byte> difference)
    {
        for (int i = 0; i < 16; i += 4)
        {
            uint word = unchecked(BinaryPrimitives.ReadUInt32LittleEndian(from[i..]) - BinaryPrimitives.ReadUInt32LittleEndian(what[i..]));
            BinaryPrimitives.WriteUInt32LittleEndian(difference[i..], word);
        }
    }

    /// <summary>Writes the key for this nonce; the result is what ChaCha20-Poly1305 takes as its own nonce.</summary>
    private static ulong Derive(ReadOnlySpan<byte> key, ReadOnlySpan<byte> nonce, Span<byte> derived)
    {
        if (nonce.Length != NonceLength) throw new ArgumentException("The nonce is 24 bytes.", nameof(nonce));
        HChaCha20(key, nonce[..CoreNonceLength], derived);
        return BinaryPrimitives.ReadUInt64LittleEndian(nonce[CoreNonceLength..]);
    }
}
