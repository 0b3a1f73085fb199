namespace Relay.Protocol.WireGuard;

/// <summary>Why something was dropped. Nothing that comes from the network has any other outcome than working or one of these.</summary>
public enum WireGuardDrop
{
    /// <summary>No message of the protocol: type, reserved bytes or length.</summary>
    Malformed,

    /// <summary>A receiver index that is no session's, or not of this kind.</summary>
    UnknownIndex,

    /// <summary>A tag is wrong.</summary>
    NotAuthentic,

    /// <summary>The counter was seen before, or is too old to tell.</summary>
    Replayed,

    /// <summary>The session is past Reject-After-Time.</summary>
    Expired,

    /// <summary>The packet's source address is not the peer's.</summary>
    NotAllowed,

    /// <summary>What was decrypted is no IP packet.</summary>
    NotAPacket,

    /// <summary>mac1 is wrong: the sender does not know our public key.</summary>
    BadMac1,

    /// <summary>Under load without a right mac2: a cookie reply was sent instead.</summary>
    NoCookie,

    /// <summary>Under load with a right mac2, but too many handshakes from one source.</summary>
    RateLimited,

    /// <summary>An initiation of a key that is no peer's.</summary>
    UnknownPeer,

    /// <summary>An initiation whose timestamp is not later than that of the last one.</summary>
    ReplayedInitiation,

    /// <summary>An initiation too soon after the last one.</summary>
    TooSoon,

    /// <summary>A cookie reply that answers nothing we have sent.</summary>
    UnexpectedCookie,

    /// <summary>A staged packet that did not fit, or whose handshake was given up.</summary>
    Unsent,
}

/// <summary>How often each reason occurred. Safe for concurrent use.</summary>
public sealed class WireGuardDrops
{
    private readonly long[] _counts = new long[Enum.GetValues<WireGuardDrop>().Length];

    /// <summary>Since the device was made.</summary>
    public long this[WireGuardDrop reason] => Volatile.Read(ref _counts[(int)reason]);

    internal void Count(WireGuardDrop reason) => Interlocked.Increment(ref _counts[(int)reason]);
}
