using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

// What: ChaCha20-Poly1305 in place by libcrypto, over one context that is kept and takes one key after another: setting
//   a key is a copy of 32 bytes, so a thread needs one context, not one per key.
// References: RFC 8439 §2.8.
// Parameters: key 32 bytes; nonce 12 bytes, of which the first 4 are zero and the rest is a number, little-endian; tag 16
//   bytes. A nonce must not be used twice for encrypting under one key.
// Failure: a wrong tag is "false"; the text is zeroed then.

/// <summary>One direction of ChaCha20-Poly1305. Not thread-safe. Caller disposes, which wipes the key.</summary>
internal sealed unsafe class ChaCha20Poly1305Context : IDisposable
{
    /// <summary>Length of the key, in bytes.</summary>
    public const int KeyLength = 32;

    /// <summary>Length of the tag, in bytes.</summary>
    public const int TagLength = 16;

    private const int NonceLength = 12;

    // Fetched once: a fetch by name costs more than a packet. It lives as long as the process.
    private static readonly CipherHandle Cipher = LibCryptoResult.Checked(LibCrypto.FetchCipher(0, "ChaCha20-Poly1305", 0), "fetching ChaCha20-Poly1305");

    private readonly CipherContextHandle _handle;
    private readonly nint _context;
    private readonly bool _encrypts;

    /// <summary>A context for one direction, under a key of zeros until <see cref="SetKey"/>.</summary>
    public ChaCha20Poly1305Context(bool encrypts)
    {
        _encrypts = encrypts;
        _handle = LibCryptoResult.Checked(LibCrypto.NewCipherContext(), "allocating a cipher context");
        LibCryptoResult.Check(LibCrypto.CipherInit(_handle, Cipher, 0, stackalloc byte[KeyLength], stackalloc byte[NonceLength], encrypts ? 1 : 0), "setting a cipher's key");
        // Alive as long as this object: Dispose alone frees it.
        _context = _handle.DangerousGetHandle();
    }

    /// <summary>Takes another key, which is copied.</summary>
    /// <exception cref="ArgumentException">The key is not 32 bytes.</exception>
    public void SetKey(ReadOnlySpan<byte> key)
    {
        if (key.Length != KeyLength) throw new ArgumentException("The key is 32 bytes.", nameof(key));
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        fixed (byte* bytes = key)
        {
            if (LibCrypto.CipherInit(_context, 0, 0, bytes, null, -1) != 1) throw Failure();
        }
    }

    /// <summary>Overwrites the key with zeros; nothing may be encrypted until the next <see cref="SetKey"/>.</summary>
    public void ForgetKey() => SetKey(stackalloc byte[KeyLength]);

    /// <summary>Encrypts <paramref name="text"/> in place and writes the tag over it and <paramref name="associated"/>.</summary>
    public void Encrypt(ulong nonce, ReadOnlySpan<byte> associated, Span<byte> text, Span<byte> tag)
    {
        CheckUse(tag, encrypts: true);
        fixed (byte* tagBytes = tag)
        {
            int written;
            if (!Process(nonce, associated, text)
                || LibCrypto.CipherFinal(_context, tagBytes, &written) != 1
                || LibCrypto.CipherControl(_context, LibCrypto.AeadGetTag, TagLength, tagBytes) != 1)
            {
                throw Failure();
            }
        }
    }

    /// <summary>Decrypts <paramref name="text"/> in place; false, with the text zeroed, when the tag is not the right one.</summary>
    public bool TryDecrypt(ulong nonce, ReadOnlySpan<byte> associated, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        CheckUse(tag, encrypts: false);
        byte* end = stackalloc byte[TagLength];
        fixed (byte* tagBytes = tag)
        {
            int written;
            if (Process(nonce, associated, text)
                && LibCrypto.CipherControl(_context, LibCrypto.AeadSetTag, TagLength, tagBytes) == 1
                && LibCrypto.CipherFinal(_context, end, &written) == 1)
            {
                return true;
            }
        }

        LibCrypto.ClearErrors();
        CryptographicOperations.ZeroMemory(text);
        return false;
    }

    /// <summary>Wipes and frees the context.</summary>
    public void Dispose() => _handle.Dispose();

    private static CryptographicException Failure()
    {
        LibCrypto.ClearErrors();
        return new CryptographicException("libcrypto: ChaCha20-Poly1305 failed.");
    }

    private bool Process(ulong nonce, ReadOnlySpan<byte> associated, Span<byte> text)
    {
        byte* iv = stackalloc byte[NonceLength];
        *(uint*)iv = 0;
        BinaryPrimitives.WriteUInt64LittleEndian(new Span<byte>(iv + 4, 8), nonce);
        int written;
        fixed (byte* ad = associated, bytes = text)
        {
            return LibCrypto.CipherInit(_context, 0, 0, null, iv, -1) == 1
                && (ad == null || LibCrypto.CipherUpdate(_context, null, &written, ad, associated.Length) == 1)
                && (bytes == null || (LibCrypto.CipherUpdate(_context, bytes, &written, bytes, text.Length) == 1 && written == text.Length));
        }
    }

    private void CheckUse(ReadOnlySpan<byte> tag, bool encrypts)
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        if (_encrypts != encrypts) throw new InvalidOperationException("The context is for the other direction.");
        if (tag.Length != TagLength) throw new ArgumentException("The tag is 16 bytes.", nameof(tag));
    }
}
