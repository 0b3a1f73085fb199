using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// KDF1 to KDF3 of whitepaper §5.4: τ0 = HMAC(key, input), τ1 = HMAC(τ0, 1), τi = HMAC(τ0, τi-1 ‖ i). All values are 32
/// bytes. An output may be the memory of the key.
/// </summary>
internal static class NoiseKdf
{
    /// <summary>τ1 = KDF1(key, input).</summary>
    public static void Kdf1(ReadOnlySpan<byte> key, ReadOnlySpan<byte> input, Span<byte> first) => Derive(key, input, first, [], []);

    /// <summary>(τ1, τ2) = KDF2(key, input).</summary>
    public static void Kdf2(ReadOnlySpan<byte> key, ReadOnlySpan<byte> input, Span<byte> first, Span<byte> second) => Derive(key, input, first, second, []);

    /// <summary>(τ1, τ2, τ3) = KDF3(key, input).</summary>
    public static void Kdf3(ReadOnlySpan<byte> key, ReadOnlySpan<byte> input, Span<byte> first, Span<byte> second, Span<byte> third) => Derive(key, input, first, second, third);

    private static void Derive(ReadOnlySpan<byte> key, ReadOnlySpan<byte> input, Span<byte> first, Span<byte> second, Span<byte> third)
    {
        Blake2s blake = Blake2s.ForThread;
        Span<byte> secret = stackalloc byte[Blake2s.DigestLength];
        blake.Hmac(key, input, [], secret);
        blake.Hmac(secret, [1], [], first);
        if (!second.IsEmpty) blake.Hmac(secret, first, [2], second);
        if (!third.IsEmpty) blake.Hmac(secret, second, [3], third);
        CryptographicOperations.ZeroMemory(secret);
    }
}
