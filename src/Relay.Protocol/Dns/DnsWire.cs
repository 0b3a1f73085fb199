namespace Relay.Protocol.Dns;

/// <summary>Numbers of DNS messages: RFC 1035 §4, RFC 6891 (EDNS).</summary>
public static class DnsWire
{
    /// <summary>Before the question: id, flags, four counts.</summary>
    public const int HeaderBytes = 12;

    /// <summary>Longest name on the wire, RFC 1035 §2.3.4.</summary>
    public const int MaxNameBytes = 255;

    /// <summary>Longest answer over UDP to who does not say otherwise, RFC 1035 §2.3.4.</summary>
    public const int PlainUdpBytes = 512;

    /// <summary>Longest answer over UDP at all, and what is said of us: fits any path unfragmented.</summary>
    public const int EdnsUdpBytes = 1232;

    /// <summary>Longest message over TCP, RFC 1035 §4.2.2.</summary>
    public const int MaxTcpBytes = 65_535;

    /// <summary>Longest question that is read: a name, EDNS, and its padding.</summary>
    public const int MaxQueryBytes = 1232;

    internal const ushort Internet = 1;
    internal const ushort Response = 0x8000, Authoritative = 0x0400, Truncated = 0x0200, RecursionDesired = 0x0100, RecursionAvailable = 0x0080, CheckingDisabled = 0x0010;
    internal const int OpcodeMask = 0x7800;
    internal const ushort Edns = 41;
    internal const uint DnssecOk = 0x8000;
}

/// <summary>Types of records.</summary>
public enum DnsType : ushort
{
    /// <summary>An IPv4 address.</summary>
    A = 1,

    /// <summary>The start of a zone.</summary>
    Soa = 6,

    /// <summary>An IPv6 address, RFC 3596.</summary>
    Aaaa = 28,

    /// <summary>All that there is, in a question.</summary>
    Any = 255,
}

/// <summary>What an answer says: RFC 1035 §4.1.1, RFC 6891 §9.</summary>
public enum DnsCode
{
    /// <summary>There is an answer, or the name exists without such a record.</summary>
    NoError = 0,

    /// <summary>The question can not be read.</summary>
    FormatError = 1,

    /// <summary>It can not be answered now.</summary>
    ServerFailure = 2,

    /// <summary>There is no such name.</summary>
    NameError = 3,

    /// <summary>It is no question.</summary>
    NotImplemented = 4,

    /// <summary>It is not answered here.</summary>
    Refused = 5,

    /// <summary>EDNS of a version to come.</summary>
    BadVersion = 16,
}
