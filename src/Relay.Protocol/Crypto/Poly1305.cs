using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

// What: the one-time authenticator Poly1305 by libcrypto, over one context that is kept.
// References: RFC 8439 §2.5.
// Parameters: key 32 bytes, to be used for one message only; tag 16 bytes.
// Failure: none that a peer can cause; comparing tags is the caller's, in constant time.

/// <summary>Computes Poly1305 tags, each under its own key. Not thread-safe. Caller disposes, which wipes the last key.</summary>
internal sealed class Poly1305 : IDisposable
{
    /// <summary>Length of the one-time key, in bytes.</summary>
    public const int KeyLength = 32;

    /// <summary>Length of a tag, in bytes.</summary>
    public const int TagLength = 16;

    // Fetched once: a fetch by name costs more than a packet. It lives as long as the process.
    private static readonly MacHandle Mac = LibCryptoResult.Checked(LibCrypto.FetchMac(0, "POLY1305", 0), "fetching Poly1305");

    private readonly MacContextHandle _context = LibCryptoResult.Checked(LibCrypto.NewMacContext(Mac), "allocating a Poly1305 context");

    /// <summary>Writes the tag of <paramref name="data"/> under <paramref name="key"/> into the first 16 bytes of <paramref name="tag"/>.</summary>
    /// <exception cref="ArgumentException">The key is not 32 bytes, or the tag has room for fewer than 16.</exception>
    public void Compute(ReadOnlySpan<byte> key, ReadOnlySpan<byte> data, Span<byte> tag)
    {
        if (key.Length != KeyLength) throw new ArgumentException("A Poly1305 key is 32 bytes.", nameof(key));
        if (tag.Length < TagLength) throw new ArgumentException("A Poly1305 tag is 16 bytes.", nameof(tag));
        if (LibCrypto.MacInit(_context, key, KeyLength, 0) != 1
            || LibCrypto.MacUpdate(_context, data, (nuint)data.Length) != 1
            || LibCrypto.MacFinal(_context, tag, out nuint written, TagLength) != 1
            || written != TagLength)
        {
            LibCrypto.ClearErrors();
            throw new CryptographicException("libcrypto: Poly1305 failed.");
        }
    }

    /// <summary>Wipes and frees the context.</summary>
    public void Dispose() => _context.Dispose();
}
