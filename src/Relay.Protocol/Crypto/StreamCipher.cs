using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

// What: the two stream ciphers of libcrypto that SSH uses, over one context that is kept.
// References: RFC 8439 §2.4 (ChaCha20), NIST SP 800-38A §6.5 (CTR).
// Parameters: key 32 bytes, IV 16 bytes. ChaCha20's IV is the block counter and the nonce: libcrypto counts in its
//   first 32 bits, little-endian, and carries into the next 32, which makes it both RFC 8439's and the original cipher.
// Failure: none that a peer can cause.

/// <summary>A keystream that is XORed onto data. Not thread-safe. Caller disposes, which wipes the key.</summary>
internal sealed class StreamCipher : IDisposable
{
    /// <summary>Length of the key, in bytes.</summary>
    public const int KeyLength = 32;

    /// <summary>Length of the IV, in bytes.</summary>
    public const int IvLength = 16;

    // Fetched once: a fetch by name costs more than a packet. They live as long as the process.
    private static readonly CipherHandle ChaCha20Cipher = LibCryptoResult.Checked(LibCrypto.FetchCipher(0, "ChaCha20", 0), "fetching ChaCha20");
    private static readonly CipherHandle Aes256CtrCipher = LibCryptoResult.Checked(LibCrypto.FetchCipher(0, "AES-256-CTR", 0), "fetching AES-256-CTR");

    private readonly CipherContextHandle _context;

    private StreamCipher(CipherHandle cipher, ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv)
    {
        if (key.Length != KeyLength) throw new ArgumentException("The key is 32 bytes.", nameof(key));
        if (iv.Length != IvLength) throw new ArgumentException("The IV is 16 bytes.", nameof(iv));
        _context = LibCryptoResult.Checked(LibCrypto.NewCipherContext(), "allocating a cipher context");
        LibCryptoResult.Check(LibCrypto.CipherInit(_context, cipher, 0, key, iv, 1), "setting a cipher's key");
    }

    /// <summary>ChaCha20 at the position that the IV says.</summary>
    public static StreamCipher ChaCha20(ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv) => new(ChaCha20Cipher, key, iv);

    /// <summary>AES-256 in counter mode; the IV is the first counter block, big-endian.</summary>
    public static StreamCipher Aes256Ctr(ReadOnlySpan<byte> key, ReadOnlySpan<byte> iv) => new(Aes256CtrCipher, key, iv);

    /// <summary>Goes to the position that the IV says, under the same key.</summary>
    public void Seek(ReadOnlySpan<byte> iv)
    {
        if (iv.Length != IvLength) throw new ArgumentException("The IV is 16 bytes.", nameof(iv));
        if (LibCrypto.CipherRestart(_context, 0, 0, 0, iv, -1) != 1) throw new CryptographicException("libcrypto: setting an IV failed.");
    }

    /// <summary>XORs the next bytes of the keystream onto <paramref name="input"/>; <paramref name="output"/> may be the same memory.</summary>
    /// <exception cref="ArgumentException">The output is shorter than the input.</exception>
    public void Apply(ReadOnlySpan<byte> input, Span<byte> output)
    {
        if (output.Length < input.Length) throw new ArgumentException("The output is shorter than the input.", nameof(output));
        if (input.IsEmpty) return;
        if (LibCrypto.CipherUpdate(_context, output, out int written, input, input.Length) != 1 || written != input.Length)
            throw new CryptographicException("libcrypto: a stream cipher failed.");
    }

    /// <summary>Wipes and frees the context.</summary>
    public void Dispose() => _context.Dispose();
}
