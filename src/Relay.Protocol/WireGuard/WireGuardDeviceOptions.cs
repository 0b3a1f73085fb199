namespace Relay.Protocol.WireGuard;

/// <summary>What a device is made of.</summary>
public sealed class WireGuardDeviceOptions
{
    /// <summary>The static private key: 32 bytes, copied; the caller wipes its own. Clamping is done where it is used.</summary>
    public required ReadOnlyMemory<byte> PrivateKey { get; init; }

    /// <summary>The time of day at <c>now</c> = zero. It must not be earlier than at an earlier start by more than ran since: peers remember our greatest timestamp.</summary>
    public required DateTimeOffset Epoch { get; init; }

    /// <summary>Longest inner packet in bytes; padding does not make one longer. Default: 1420, what <c>wg-quick</c> sets for an Ethernet outside.</summary>
    public int Mtu { get; init; } = 1420;

    /// <summary>
    /// Handshake messages per second beyond which sources have to prove their address first (cookies). Default: 1000, about
    /// a fifth of what one core can answer. Zero: always.
    /// </summary>
    public int LoadThreshold { get; init; } = 1000;

    /// <summary>Where random bytes come from.</summary>
    internal WireGuardEntropy Entropy { get; init; } = WireGuardEntropyDraws.System;
}
