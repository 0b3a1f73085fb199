namespace Relay.Protocol.WireGuard;

/// <summary>The constants of the whitepaper, by its names; what is our own choice is in <see cref="WireGuardLimits"/>.</summary>
internal static class WireGuardSpec
{
    /// <summary>Rekey-After-Messages, §6.1: after so many messages a new session is asked for.</summary>
    public const ulong RekeyAfterMessages = 1UL << 60;

    /// <summary>Reject-After-Messages, §6.1: counters from here on are neither sent nor accepted.</summary>
    public const ulong RejectAfterMessages = ulong.MaxValue - (1UL << 13);

    /// <summary>Rekey-After-Time, §6.1: the initiator asks for a new session when it sends in one that is older.</summary>
    public static readonly TimeSpan RekeyAfterTime = TimeSpan.FromSeconds(120);

    /// <summary>Reject-After-Time, §6.1: an older session neither sends nor receives.</summary>
    public static readonly TimeSpan RejectAfterTime = TimeSpan.FromSeconds(180);

    /// <summary>Rekey-Attempt-Time, §6.1: after so long without an answer the initiator gives up.</summary>
    public static readonly TimeSpan RekeyAttemptTime = TimeSpan.FromSeconds(90);

    /// <summary>Rekey-Timeout, §6.1: initiations are at least so far apart.</summary>
    public static readonly TimeSpan RekeyTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Keepalive-Timeout, §6.1: what was received is answered within this time, by an empty packet if need be.</summary>
    public static readonly TimeSpan KeepaliveTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Cookie-Refresh-Time, §5.4.7: a cookie and the secret it comes from live so long.</summary>
    public static readonly TimeSpan CookieRefreshTime = TimeSpan.FromSeconds(120);

    /// <summary>The contents of packets are padded to a multiple of this, §5.4.6, in bytes.</summary>
    public const int PaddingMultiple = 16;

    /// <summary>CONSTRUCTION of §5.4.</summary>
    public static ReadOnlySpan<byte> Construction => "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"u8;

    /// <summary>IDENTIFIER of §5.4.</summary>
    public static ReadOnlySpan<byte> Identifier => "WireGuard v1 zx2c4 Jason@zx2c4.com"u8;

    /// <summary>LABEL-MAC1 of §5.4.</summary>
    public static ReadOnlySpan<byte> LabelMac1 => "mac1----"u8;

    /// <summary>LABEL-COOKIE of §5.4.</summary>
    public static ReadOnlySpan<byte> LabelCookie => "cookie--"u8;
}
