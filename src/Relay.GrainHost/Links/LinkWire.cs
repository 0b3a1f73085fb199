namespace Relay.GrainHost.Links;

// A link is a duplex byte stream between two silos, dialled by the one that calls. It carries frames:
//
//   length   u32 LE   of what follows; 1 … MaxFrameBytes
//   kind     u8       FrameKind
//   …                 by kind
//
//   dialler                                   acceptor
//     Hello {magic, from, to}            ->
//                                        <-   Welcome {} or Refused {reason}
//     Call {id, flags, time left, method, key, arguments}
//                                        ->
//                                        <-   Result {id, value} or Failure {id, code, type, message}
//     Cancel {id}                        ->   (no answer follows)
//     Probe {id, [incarnation]}          ->
//                                        <-   ProbeAnswer {id, [heard]}
//                                             (heard 1: the acceptor has just heard that silo; left out where older versions answer)
//     Gossip {}                          ->   (the membership table has changed: read it)
//
// ids are the dialler's, u64 LE. Strings and values are in the serializer's format. A frame that does not hold together, or a
// kind that is unknown to a peer of the same protocol version, ends the link.

/// <summary>What a frame is.</summary>
internal enum FrameKind : byte
{
    Hello = 1,
    Welcome = 2,
    Refused = 3,
    Call = 4,
    Result = 5,
    Failure = 6,
    Cancel = 7,
    Probe = 8,
    ProbeAnswer = 9,
    Gossip = 10,
}

/// <summary>Bits of a call's flags byte.</summary>
[Flags]
internal enum CallFlags : byte
{
    None = 0,

    /// <summary>One silo has forwarded the call already.</summary>
    Forwarded = 1,

    /// <summary>The caller wants no answer.</summary>
    NoAnswer = 2,
}

/// <summary>Numbers of the protocol.</summary>
internal static class LinkWire
{
    /// <summary>"RLG" and the protocol's version, 1.</summary>
    public const uint Magic = 0x01474C52;

    public const int LengthBytes = 4;

    /// <summary>Until the handshake is over nobody gets to send more.</summary>
    public const int MaxHelloBytes = 1024;

    /// <summary>What a failure may carry of an exception's type name and message, characters.</summary>
    public const int MaxFailureText = 4096;

    /// <summary>A key is part of every call, bytes of UTF-8.</summary>
    public const int MaxKeyBytes = 512;

    public const int ReadBufferBytes = 64 * 1024;
}
