using System.Security.Cryptography;

namespace Relay.Protocol.Crypto;

/// <summary>
/// An Ed25519 key that signs (RFC 8032 §5.1). The secret lives in libcrypto only, which wipes it on dispose.
/// Safe for concurrent use. Caller disposes.
/// </summary>
public sealed class Ed25519PrivateKey : IDisposable
{
    private readonly KeyHandle _key;
    private readonly byte[] _publicKey = new byte[Ed25519.PublicKeyLength];

    private Ed25519PrivateKey(KeyHandle key)
    {
        _key = key;
        nuint length = Ed25519.PublicKeyLength;
        LibCryptoResult.Check(LibCrypto.GetRawPublicKey(key, _publicKey, ref length), "reading the Ed25519 public key");
    }

    /// <summary>The public key: 32 bytes, the encoded point A of RFC 8032 §5.1.5.</summary>
    public ReadOnlyMemory<byte> PublicKey => _publicKey;

    /// <summary>A new key from the system's random number generator.</summary>
    /// <exception cref="CryptographicException">libcrypto is out of memory.</exception>
    public static Ed25519PrivateKey Generate()
    {
        Span<byte> seed = stackalloc byte[Ed25519.SeedLength];
        RandomNumberGenerator.Fill(seed);
        try
        {
            return FromSeed(seed);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(seed);
        }
    }

    /// <summary>The key with this secret seed of 32 bytes, which is copied; the caller wipes its own.</summary>
    /// <exception cref="ArgumentException">The seed is not 32 bytes.</exception>
    /// <exception cref="CryptographicException">libcrypto is out of memory.</exception>
    public static Ed25519PrivateKey FromSeed(ReadOnlySpan<byte> seed)
    {
        if (seed.Length != Ed25519.SeedLength) throw new ArgumentException("An Ed25519 seed is 32 bytes.", nameof(seed));
        KeyHandle key = LibCrypto.NewRawPrivateKey(LibCrypto.Ed25519, 0, seed, Ed25519.SeedLength);
        return new Ed25519PrivateKey(LibCryptoResult.Checked(key, "importing an Ed25519 key"));
    }

    /// <summary>Writes the secret seed into the first 32 bytes of <paramref name="seed"/>; the caller wipes them.</summary>
    /// <exception cref="ArgumentException">There is room for fewer than 32 bytes.</exception>
    public void ExportSeed(Span<byte> seed)
    {
        if (seed.Length < Ed25519.SeedLength) throw new ArgumentException("An Ed25519 seed is 32 bytes.", nameof(seed));
        nuint length = Ed25519.SeedLength;
        LibCryptoResult.Check(LibCrypto.GetRawPrivateKey(_key, seed, ref length), "exporting an Ed25519 key");
    }

    /// <summary>The signature over <paramref name="data"/>: 64 bytes, deterministic.</summary>
    public byte[] Sign(ReadOnlySpan<byte> data)
    {
        var signature = new byte[Ed25519.SignatureLength];
        using DigestContextHandle context = LibCryptoResult.Checked(LibCrypto.NewDigestContext(), "allocating a signature context");
        LibCryptoResult.Check(LibCrypto.DigestSignInit(context, 0, 0, 0, _key), "starting an Ed25519 signature");
        nuint length = Ed25519.SignatureLength;
        LibCryptoResult.Check(LibCrypto.DigestSign(context, signature, ref length, data, (nuint)data.Length), "signing with Ed25519");
        return signature;
    }

    /// <summary>Wipes and frees the key.</summary>
    public void Dispose() => _key.Dispose();
}
