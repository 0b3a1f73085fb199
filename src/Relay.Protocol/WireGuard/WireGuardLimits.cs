namespace Relay.Protocol.WireGuard;

/// <summary>What we chose where the whitepaper leaves it open. Every store that the network can fill has its bound here.</summary>
internal static class WireGuardLimits
{
    /// <summary>Counters remembered behind the greatest one, §5.4.6 with RFC 6479.</summary>
    public const int ReplayWindow = 8192;

    /// <summary>Packets kept for a peer while its session is being made; the oldest goes first.</summary>
    public const int StagedPacketsPerPeer = 32;

    /// <summary>Bytes of staged packets over all peers; beyond, packets are dropped.</summary>
    public const int StagedBytes = 16 << 20;

    /// <summary>An inner packet is at most so long: what an outer datagram over IPv6 can carry.</summary>
    public const int LongestPacket = 65535 - 40 - 8 - WireGuardWire.DataOverhead - WireGuardSpec.PaddingMultiple;

    /// <summary>
    /// Packets of unknown sessions that are looked at in a second, to invite the peer they may be of: the most that forged ones can make us send is
    /// so many initiations, to peers that we have, and one in <see cref="WireGuardSpec.RekeyTimeout"/> to each.
    /// </summary>
    public const int InvitationsPerSecond = 1000;

    /// <summary>Random addition to <see cref="WireGuardSpec.RekeyTimeout"/>, so that two sides do not keep initiating at once, §6.4.</summary>
    public static readonly TimeSpan RekeyJitter = TimeSpan.FromMilliseconds(333);

    /// <summary>Initiations of one peer are at least so far apart, whatever their timestamps say: 50 per second.</summary>
    public static readonly TimeSpan InitiationInterval = TimeSpan.FromMilliseconds(20);

    /// <summary>A device that was under load stays so for this long.</summary>
    public static readonly TimeSpan LoadLinger = TimeSpan.FromSeconds(1);

    /// <summary>Under load, handshake messages per second of one source that has proven its address, §5.3.</summary>
    public const int HandshakesPerSecond = 20;

    /// <summary>How many of them may come at once.</summary>
    public const int HandshakeBurst = 5;

    /// <summary>Sources that are remembered for that; a power of two. The one unseen for longest goes first.</summary>
    public const int RateLimitedSources = 1 << 14;
}
