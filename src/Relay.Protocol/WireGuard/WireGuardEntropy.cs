using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Relay.Protocol.WireGuard;

/// <summary>Fills bytes at random: keys, indices, nonces, jitter. A test gives its own to make a run repeatable. Safe for concurrent use.</summary>
internal delegate void WireGuardEntropy(Span<byte> bytes);

/// <summary>What is drawn from <see cref="WireGuardEntropy"/>.</summary>
internal static class WireGuardEntropyDraws
{
    /// <summary>The system's random number generator.</summary>
    public static WireGuardEntropy System { get; } = RandomNumberGenerator.Fill;

    /// <summary>Any number of 32 bits.</summary>
    public static uint NextIndex(this WireGuardEntropy entropy)
    {
        Span<byte> bytes = stackalloc byte[4];
        entropy(bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    /// <summary>Zero up to, not including, <see cref="WireGuardLimits.RekeyJitter"/>.</summary>
    public static TimeSpan NextJitter(this WireGuardEntropy entropy) =>
        new(entropy.NextIndex() % WireGuardLimits.RekeyJitter.Ticks);
}
