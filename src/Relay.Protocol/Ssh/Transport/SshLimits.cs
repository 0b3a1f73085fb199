namespace Relay.Protocol.Ssh;

/// <summary>Our own limits. Everything a peer can make us keep or do is bounded by one of these (L10, L15, L16).</summary>
internal static class SshLimits
{
    /// <summary>Largest packet_length after authentication. OpenSSH sends at most this.</summary>
    public const int MaximumPacketLength = 256 * 1024;

    /// <summary>Largest packet_length before authentication. RFC 4253 §6.1 asks for at least 35000.</summary>
    public const int MaximumPacketLengthBeforeAuth = 64 * 1024;

    /// <summary>Packets a peer may send before it is authenticated.</summary>
    public const int PacketsBeforeAuth = 1024;

    /// <summary>Bytes a peer may send before it is authenticated.</summary>
    public const int BytesBeforeAuth = 1024 * 1024;

    /// <summary>Lines a server may send before its identification string, RFC 4253 §4.2.</summary>
    public const int LinesBeforeIdentification = 64;

    /// <summary>Bytes in those lines, all together.</summary>
    public const int BytesBeforeIdentification = 16 * 1024;

    /// <summary>Payload bytes that wait for the end of a key exchange. More than that is a peer that never finishes it.</summary>
    public const int QueuedDuringKex = 512 * 1024;

    /// <summary>A peer that has moved this much under its keys may change them as often as it likes.</summary>
    public const ulong BytesPerExchange = 4 * 1024;

    /// <summary>Key exchanges a peer may start within <see cref="EarlyExchangePeriod"/> with less than <see cref="BytesPerExchange"/> before each.</summary>
    public const int EarlyExchanges = 30;

    /// <summary>See <see cref="EarlyExchanges"/>.</summary>
    public static readonly TimeSpan EarlyExchangePeriod = TimeSpan.FromMinutes(1);

    /// <summary>Time for one key exchange, first or later.</summary>
    public static readonly TimeSpan KexDeadline = TimeSpan.FromSeconds(60);

    /// <summary>Packets under one key: half of the sequence number space (RFC 4344 §3.1 asks for a rekey by 2^32).</summary>
    public const ulong PacketsPerKey = 1UL << 31;

    /// <summary>Names in one KEXINIT list, bytes in one list.</summary>
    public const int NameListBytes = 16 * 1024;

    /// <summary>EXT_INFO messages and entries in one of them, RFC 8308 §2.4 allows two.</summary>
    public const int ExtInfoMessages = 2;

    /// <summary>Entries in one EXT_INFO.</summary>
    public const int ExtInfoEntries = 64;

    /// <summary>Window this side grants to each of the first <see cref="WideChannels"/> channels.</summary>
    public const uint Window = 2 * 1024 * 1024;

    /// <summary>Window of every further channel, so that 128 idle readers cannot hold 256 MiB.</summary>
    public const uint NarrowWindow = 256 * 1024;

    /// <summary>Channels with the wide window.</summary>
    public const int WideChannels = 16;

    /// <summary>Largest channel data this side accepts and sends, RFC 4254 §5.1 "maximum packet size".</summary>
    public const int MaximumChannelData = 32 * 1024;

    /// <summary>Pieces of data and requests queued in one channel that nobody reads.</summary>
    public const int QueuedEvents = 256 * 1024;

    /// <summary>Bytes of channel requests queued in one channel; requests are outside the window.</summary>
    public const int QueuedRequestBytes = 1024 * 1024;

    /// <summary>Requests of the peer that wait for this side's answer: per channel, and global ones per connection.</summary>
    public const int UnansweredRequests = 256;

    /// <summary>Channel opens and global requests that wait to be taken by the application.</summary>
    public const int IncomingQueue = 64;

    /// <summary>Bytes ready to send at which writers of channel data wait.</summary>
    public const int OutputHighWater = 256 * 1024;

    /// <summary>Bytes ready to send at which a peer that asks and never reads is cut off.</summary>
    public const int OutputLimit = 4 * 1024 * 1024;
}
