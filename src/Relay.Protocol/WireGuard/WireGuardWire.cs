using System.Buffers.Binary;

namespace Relay.Protocol.WireGuard;

// The flow, whitepaper §5.1:   initiator -- 1 handshake initiation -->  responder
//                                        <-- 2 handshake response ---
//                                        -- 4 transport data ------->  (the responder may send only after the first)
// Under load the answer to 1 or 2 is    3 cookie reply, and the sender tries again with mac2 set.
// All integers are little-endian. Each message begins with its type (1 byte) and three reserved bytes, zero: read as
// one number of 32 bits.

/// <summary>The four messages of §5.4.</summary>
public enum WireGuardMessageType
{
    /// <summary>No message of this protocol: wrong type, reserved bytes or length.</summary>
    None = 0,

    /// <summary>First message, §5.4.2: 148 bytes.</summary>
    HandshakeInitiation = 1,

    /// <summary>Second message, §5.4.3: 92 bytes.</summary>
    HandshakeResponse = 2,

    /// <summary>Under load message, §5.4.7: 64 bytes.</summary>
    CookieReply = 3,

    /// <summary>Subsequent messages, §5.4.6: 32 bytes or more.</summary>
    TransportData = 4,
}

/// <summary>Layout of the messages: where each field begins, and lengths, in bytes.</summary>
public static class WireGuardWire
{
    /// <summary>Length of a handshake initiation: type 4, sender 4, ephemeral 32, static 32+16, timestamp 12+16, mac1 16, mac2 16.</summary>
    public const int InitiationLength = 148;

    /// <summary>Length of a handshake response: type 4, sender 4, receiver 4, ephemeral 32, empty 0+16, mac1 16, mac2 16.</summary>
    public const int ResponseLength = 92;

    /// <summary>Length of a cookie reply: type 4, receiver 4, nonce 24, cookie 16+16.</summary>
    public const int CookieReplyLength = 64;

    /// <summary>Header of transport data: type 4, receiver 4, counter 8. The encrypted packet follows.</summary>
    public const int DataHeaderLength = 16;

    /// <summary>What transport data is longer than its padded packet: header and tag. Also its least length, that of a keepalive.</summary>
    public const int DataOverhead = DataHeaderLength + TagLength;

    internal const int TagLength = 16;
    internal const int KeyLength = 32;
    internal const int MacLength = 16;
    internal const int TimestampLength = 12;
    internal const int CookieLength = 16;
    internal const int CookieNonceLength = 24;

    /// <summary>In 1 and 2.</summary>
    internal const int Sender = 4;

    internal const int InitiationEphemeral = 8;
    internal const int InitiationStatic = 40;
    internal const int InitiationTimestamp = 88;

    internal const int ResponseReceiver = 8;
    internal const int ResponseEphemeral = 12;
    internal const int ResponseEmpty = 44;

    /// <summary>In 3 and 4.</summary>
    internal const int Receiver = 4;

    internal const int CookieNonce = 8;
    internal const int Cookie = 32;

    internal const int DataCounter = 8;

    /// <summary>The type of a datagram by its first four bytes and its length; anything that is not exactly a message is <see cref="WireGuardMessageType.None"/>.</summary>
    public static WireGuardMessageType TypeOf(ReadOnlySpan<byte> datagram)
    {
        if (datagram.Length < DataOverhead) return WireGuardMessageType.None;
        return BinaryPrimitives.ReadUInt32LittleEndian(datagram) switch
        {
            1 when datagram.Length == InitiationLength => WireGuardMessageType.HandshakeInitiation,
            2 when datagram.Length == ResponseLength => WireGuardMessageType.HandshakeResponse,
            3 when datagram.Length == CookieReplyLength => WireGuardMessageType.CookieReply,
            4 => WireGuardMessageType.TransportData,
            _ => WireGuardMessageType.None,
        };
    }

    /// <summary>Writes type and reserved bytes.</summary>
    internal static void WriteType(Span<byte> message, WireGuardMessageType type) => BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)type);

    /// <summary>mac1 of an initiation or a response: the last 32 bytes are mac1 and mac2.</summary>
    internal static Span<byte> Mac1(Span<byte> handshake) => handshake[^32..^16];

    /// <inheritdoc cref="Mac1(Span{byte})"/>
    internal static ReadOnlySpan<byte> Mac1(ReadOnlySpan<byte> handshake) => handshake[^32..^16];

    /// <summary>mac2 of an initiation or a response.</summary>
    internal static Span<byte> Mac2(Span<byte> handshake) => handshake[^16..];

    /// <inheritdoc cref="Mac2(Span{byte})"/>
    internal static ReadOnlySpan<byte> Mac2(ReadOnlySpan<byte> handshake) => handshake[^16..];

    /// <summary>What mac1 covers.</summary>
    internal static ReadOnlySpan<byte> BeforeMac1(ReadOnlySpan<byte> handshake) => handshake[..^32];

    /// <summary>What mac2 covers.</summary>
    internal static ReadOnlySpan<byte> BeforeMac2(ReadOnlySpan<byte> handshake) => handshake[..^16];
}
