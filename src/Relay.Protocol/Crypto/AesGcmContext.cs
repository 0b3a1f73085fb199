using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

// What: AES-GCM in place, by libcrypto, over one context that is kept: a packet costs half of what the framework's
//   class takes for a small one, and a bad tag is a result instead of an exception.
// References: NIST SP 800-38D.
// Parameters: key 16 or 32 bytes, nonce 12, tag 16. A nonce must not be used twice for encrypting under one key.
// Failure: a wrong tag is "false"; the text is zeroed then.

/// <summary>One direction of AES-GCM under one key. Not thread-safe. Caller disposes, which wipes the key.</summary>
internal sealed class AesGcmContext : IDisposable
{
    /// <summary>Length of the nonce, in bytes.</summary>
    public const int NonceLength = 12;

    /// <summary>Length of the tag, in bytes.</summary>
    public const int TagLength = 16;

    // Fetched once: a fetch by name costs more than a packet. They live as long as the process.
    private static readonly CipherHandle Aes128 = LibCryptoResult.Checked(LibCrypto.FetchCipher(0, "AES-128-GCM", 0), "fetching AES-128-GCM");
    private static readonly CipherHandle Aes256 = LibCryptoResult.Checked(LibCrypto.FetchCipher(0, "AES-256-GCM", 0), "fetching AES-256-GCM");

    private readonly CipherContextHandle _context;
    private readonly bool _encrypts;

    /// <summary>A context for one direction; the key is copied, the caller wipes its own.</summary>
    /// <exception cref="ArgumentException">The key is not 16 or 32 bytes.</exception>
    public AesGcmContext(ReadOnlySpan<byte> key, bool encrypts)
    {
        CipherHandle cipher = key.Length switch
        {
            16 => Aes128,
            32 => Aes256,
            _ => throw new ArgumentException("The key is 16 or 32 bytes.", nameof(key)),
        };
        _encrypts = encrypts;
        _context = LibCryptoResult.Checked(LibCrypto.NewCipherContext(), "allocating a cipher context");
        // The nonce set here is never used: every message sets its own.
        LibCryptoResult.Check(LibCrypto.CipherInit(_context, cipher, 0, key, stackalloc byte[NonceLength], encrypts ? 1 : 0), "setting a cipher's key");
    }

    /// <summary>Encrypts <paramref name="text"/> in place and writes the tag over it and <paramref name="associated"/>.</summary>
    public void Encrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, Span<byte> text, Span<byte> tag)
    {
        CheckUse(nonce, tag, encrypts: true);
        if (!Process(nonce, associated, text)
            || LibCrypto.CipherFinal(_context, tag, out _) != 1
            || LibCrypto.CipherControl(_context, LibCrypto.AeadGetTag, TagLength, tag) != 1)
        {
            LibCrypto.ClearErrors();
            throw new CryptographicException("libcrypto: AES-GCM failed.");
        }
    }

    /// <summary>Decrypts <paramref name="text"/> in place; false, with the text zeroed, when the tag is not the right one.</summary>
    public bool TryDecrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, Span<byte> text, Span<byte> tag)
    {
        CheckUse(nonce, tag, encrypts: false);
        if (Process(nonce, associated, text)
            && LibCrypto.CipherControl(_context, LibCrypto.AeadSetTag, TagLength, tag) == 1
            && LibCrypto.CipherFinal(_context, tag, out _) == 1) return true;
        LibCrypto.ClearErrors();
        CryptographicOperations.ZeroMemory(text);
        return false;
    }

    /// <summary>Wipes and frees the context.</summary>
    public void Dispose() => _context.Dispose();

    private bool Process(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associated, Span<byte> text) =>
        LibCrypto.CipherRestart(_context, 0, 0, 0, nonce, -1) == 1
        && (associated.IsEmpty || LibCrypto.CipherAssociatedData(_context, 0, out _, associated, associated.Length) == 1)
        && (text.IsEmpty || (LibCrypto.CipherUpdate(_context, text, out int written, text, text.Length) == 1 && written == text.Length));

    private void CheckUse(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> tag, bool encrypts)
    {
        if (_encrypts != encrypts) throw new InvalidOperationException("The context is for the other direction.");
        if (nonce.Length != NonceLength) throw new ArgumentException("The nonce is 12 bytes.", nameof(nonce));
        if (tag.Length != TagLength) throw new ArgumentException("The tag is 16 bytes.", nameof(tag));
    }
}
