using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>Making and using static private keys, 32 bytes: scalars of X25519 (RFC 7748 §5). The caller wipes them.</summary>
public static class WireGuardPrivateKey
{
    /// <summary>Length in bytes.</summary>
    public const int Length = 32;

    /// <summary>A new one, clamped as <c>wg genkey</c> does it; pinned, so that wiping it leaves no copy.</summary>
    public static byte[] Generate()
    {
        byte[] key = GC.AllocateUninitializedArray<byte>(Length, pinned: true);
        RandomNumberGenerator.Fill(key);
        key[0] &= 248;
        key[31] = (byte)((key[31] & 127) | 64);
        return key;
    }

    /// <summary>Its public key.</summary>
    /// <exception cref="ArgumentException">It is not 32 bytes.</exception>
    public static WireGuardPublicKey PublicKey(ReadOnlySpan<byte> privateKey)
    {
        if (privateKey.Length != Length) throw new ArgumentException("A private key is 32 bytes.", nameof(privateKey));
        using var key = X25519PrivateKey.FromScalar(privateKey);
        return new WireGuardPublicKey(key.PublicKey.Span);
    }

    /// <summary>False for the few values of small order, with which no secret can be agreed on (RFC 7748 §6.1): nobody's public key.</summary>
    public static bool CanAgreeWith(WireGuardPublicKey publicKey)
    {
        Span<byte> peer = stackalloc byte[Length];
        Span<byte> secret = stackalloc byte[Length];
        publicKey.CopyTo(peer);
        using var key = X25519PrivateKey.Generate();
        bool agreed = key.TryDerive(peer, secret);
        CryptographicOperations.ZeroMemory(secret);
        return agreed;
    }
}
