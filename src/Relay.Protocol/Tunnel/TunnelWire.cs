namespace Relay.Protocol.Tunnel;

/// <summary>
/// The words and numbers of the tunnel between connector and silo, and of the links that carry its streams on; see PROTOCOL.md.
/// Flow: TCP, TLS 1.3, <see cref="AttachRequest"/> → <see cref="AttachResponse"/>, then HTTP/2 with the connector as the server.
/// </summary>
public static class TunnelWire
{
    /// <summary>Version of the attach preamble that this code speaks.</summary>
    public const int ProtocolVersion = 1;

    /// <summary>Largest attach message, without its 4-byte length.</summary>
    public const int MaxPreambleBytes = 16 * 1024;

    /// <summary>Opens a duplex stream to a target. Method POST.</summary>
    public const string ConnectPath = "/connect";

    /// <summary>The agent dials a target and hangs up: 200 when it was reached, otherwise refused like a stream. Method POST.</summary>
    public const string CheckPath = "/check";

    /// <summary>Answered at once with 200: the agent lives. Method GET.</summary>
    public const string PingPath = "/ping";

    /// <summary>The silo says why it is about to close the tunnel. Method POST, body <see cref="Goodbye"/>.</summary>
    public const string GoodbyePath = "/goodbye";

    /// <summary>Open for the tunnel's life; the agent ends it when it takes no more streams (drain). Method GET.</summary>
    public const string DrainPath = "/drain";

    /// <summary>Signs of life and announcements, silo to agent, for the tunnel's life: lines of <see cref="TunnelMessage"/> in the request's body. Method POST.</summary>
    public const string ControlPath = "/control";

    /// <summary>Header: the session a stream belongs to (UUID).</summary>
    public const string SessionHeader = "relay-session";

    /// <summary>Header: the attachment's epoch the opener knows; decimal.</summary>
    public const string EpochHeader = "relay-epoch";

    /// <summary>Header of a ping's answer: the agent's <see cref="BootClock"/>, milliseconds.</summary>
    public const string ClockHeader = "relay-clock";

    /// <summary>Header: up to which moment of the agent's <see cref="BootClock"/>, milliseconds, the silo may open this stream; absent: no limit.</summary>
    public const string UntilHeader = "relay-until";

    /// <summary>Header: what to dial, see <see cref="StreamTarget"/>.</summary>
    public const string TargetHeader = "relay-target";

    /// <summary>Header of a refusal: one sentence for people.</summary>
    public const string ErrorHeader = "relay-error";

    /// <summary>Header of a refusal: see <see cref="StreamOpenErrors"/>.</summary>
    public const string ErrorCodeHeader = "relay-error-code";

    /// <summary>HTTP/2 receive window of one stream: a round trip of 30 ms still carries over 130 MB/s on one stream.</summary>
    public const int StreamWindowBytes = 4 * 1024 * 1024;

    /// <summary>
    /// HTTP/2 receive window of a connection on the serving side. Kestrel gives connection credit back only when the
    /// application reads, so this is how many streams (64) may stall in full before the others are held up too.
    /// </summary>
    public const int ConnectionWindowBytes = 256 * 1024 * 1024;

    /// <summary>Streams one tunnel carries at once; more wait until their opening deadline.</summary>
    public const int MaxStreamsPerConnection = 8 * 1024;

    /// <summary>From TCP accept to an attach answer.</summary>
    public static readonly TimeSpan AttachDeadline = TimeSpan.FromSeconds(10);

    /// <summary>HTTP/2 PING after this much silence, by both ends.</summary>
    public static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(10);

    /// <summary>A PING not answered for this long ends the tunnel.</summary>
    public static readonly TimeSpan PingTimeout = TimeSpan.FromSeconds(10);

    /// <summary>How long the holder of a lease has to prove its agent alive before a newcomer is admitted.</summary>
    public static readonly TimeSpan ProbeDeadline = TimeSpan.FromSeconds(3);

    /// <summary>How often the silo asks for the agent's clock, because clocks drift.</summary>
    public static readonly TimeSpan ClockInterval = TimeSpan.FromMinutes(2);

    /// <summary>How long the agent tries to dial a TCP target.</summary>
    public static readonly TimeSpan DialDeadline = TimeSpan.FromSeconds(10);

    /// <summary>A stream of datagrams on which nothing moves for so long is ended by the agent; gateways end theirs long before.</summary>
    public static readonly TimeSpan DatagramIdle = TimeSpan.FromMinutes(10);

    /// <summary>How long an opener waits: the agent's dial and a little for the way.</summary>
    public static readonly TimeSpan OpenDeadline = DialDeadline + TimeSpan.FromSeconds(2);
}
