namespace Relay.Protocol.Crypto;

// What: Ed25519 signatures (PureEdDSA) by libcrypto.
// References: RFC 8032 §5.1.
// Parameters: seed 32 bytes, public key 32 bytes, signature 64 bytes; messages of any length.
// Failure: a signature that does not verify and a public key that is no point are both "false".

/// <summary>Verifies Ed25519 signatures. Safe for concurrent use.</summary>
public static class Ed25519
{
    /// <summary>Length of the secret seed, in bytes.</summary>
    public const int SeedLength = 32;

    /// <summary>Length of a public key, in bytes.</summary>
    public const int PublicKeyLength = 32;

    /// <summary>Length of a signature, in bytes: R then S, RFC 8032 §5.1.6.</summary>
    public const int SignatureLength = 64;

    /// <summary>
    /// True only when <paramref name="signature"/> (64 bytes) is the key's (32 bytes) over <paramref name="data"/>.
    /// False for wrong lengths, for a key that is no point of the curve and for everything else.
    /// </summary>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature)
    {
        if (publicKey.Length != PublicKeyLength || signature.Length != SignatureLength) return false;
        using KeyHandle key = LibCrypto.NewRawPublicKey(LibCrypto.Ed25519, 0, publicKey, PublicKeyLength);
        using DigestContextHandle context = LibCrypto.NewDigestContext();
        if (!key.IsInvalid && !context.IsInvalid
            && LibCrypto.DigestVerifyInit(context, 0, 0, 0, key) == 1
            && LibCrypto.DigestVerify(context, signature, SignatureLength, data, (nuint)data.Length) == 1)
        {
            return true;
        }

        LibCrypto.ClearErrors();
        return false;
    }
}
