using System.Numerics;

namespace Relay.Protocol.Ssh;

/// <summary>Which RSA keys are accepted; decided from lengths and low bits alone, before any arithmetic (L12).</summary>
internal static class RsaLimits
{
    /// <summary>Smallest modulus, in bits.</summary>
    public const int MinimumBits = 2048;

    /// <summary>Largest modulus, in bits: verifying costs the square of the size, and a stranger chooses it.</summary>
    public const int MaximumBits = 8192;

    /// <summary>Largest public exponent, in bytes. Every common tool writes 65537; OpenSSL itself stops at 64 bits.</summary>
    private const int MaximumExponentLength = 8;

    /// <summary>Why the key is refused, null when it is not. Both are magnitudes without leading zero bytes.</summary>
    public static string? Refuse(ReadOnlySpan<byte> modulus, ReadOnlySpan<byte> exponent)
    {
        if (modulus.Length > MaximumBits / 8) return $"an RSA key of more than {MaximumBits} bits";
        if (Bits(modulus) < MinimumBits) return $"an RSA key of less than {MinimumBits} bits";
        bool exponentIsOne = exponent.Length == 1 && exponent[0] == 1;
        if (exponent.IsEmpty || exponent.Length > MaximumExponentLength || (exponent[^1] & 1) == 0 || exponentIsOne) return "an RSA key with an unusual exponent";
        return (modulus[^1] & 1) == 0 ? "an RSA key with an even modulus" : null;
    }

    private static int Bits(ReadOnlySpan<byte> magnitude) =>
        magnitude.IsEmpty ? 0 : (magnitude.Length * 8) - BitOperations.LeadingZeroCount((uint)magnitude[0]) + 24;
}
