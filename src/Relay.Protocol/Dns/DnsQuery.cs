using System.Buffers.Binary;
using static Relay.Protocol.Dns.DnsWire;

namespace Relay.Protocol.Dns;

/// <summary>A question as it came. Immutable.</summary>
public sealed class DnsQuery
{
    private readonly byte[] _name;

    private DnsQuery(ushort id, ushort flags, byte[] name, ushort type, ushort @class)
    {
        (Id, Flags, _name, Type, Class) = (id, flags, name, (DnsType)type, @class);
        Name = DnsName.ToText(name);
    }

    /// <summary>The asker's number for it.</summary>
    public ushort Id { get; }

    /// <summary>The name in lower case, with dots and without the last one; what is no printable ASCII as <c>\DDD</c>. Empty: the root.</summary>
    public string Name { get; }

    /// <summary>What is asked for; may be any number.</summary>
    public DnsType Type { get; }

    /// <summary>1: of the Internet.</summary>
    public int Class { get; }

    /// <summary>Whether the asker speaks EDNS, and takes answers longer than 512 bytes.</summary>
    public bool HasEdns { get; private init; }

    /// <summary>Longest answer that it takes over UDP: 512 to <see cref="EdnsUdpBytes"/>.</summary>
    public int UdpBytes { get; private init; } = PlainUdpBytes;

    internal ushort Flags { get; }

    internal bool DnssecOk { get; private init; }

    /// <summary>As it was written, so that its case comes back as it went.</summary>
    internal ReadOnlySpan<byte> NameBytes => _name;

    internal static bool IsPlausible(ReadOnlySpan<byte> message) => message.Length >= HeaderBytes && (BinaryPrimitives.ReadUInt16BigEndian(message[2..]) & Response) == 0;

    /// <summary>Reads a message that a client sent.</summary>
    /// <param name="message">Of any length; over <see cref="MaxQueryBytes"/> it is none.</param>
    /// <param name="query">The question; null unless it can be answered.</param>
    /// <param name="answer">When it can not be: what it is answered with by <see cref="DnsAnswer.WriteError"/>; null: with nothing, as a message that is itself an answer.</param>
    public static bool TryRead(ReadOnlySpan<byte> message, out DnsQuery? query, out DnsCode? answer)
    {
        (query, answer) = (null, null);
        if (!IsPlausible(message))
            return false;
        answer = DnsCode.FormatError;
        if (message.Length > MaxQueryBytes)
            return false;
        ushort flags = BinaryPrimitives.ReadUInt16BigEndian(message[2..]);
        if ((flags & OpcodeMask) != 0)
        {
            answer = DnsCode.NotImplemented;
            return false;
        }

        // One question, and nothing that only answers have.
        if (BinaryPrimitives.ReadUInt64BigEndian(message[4..]) >> 16 != 1UL << 32)
            return false;
        var at = HeaderBytes;
        if (!TryReadQuestion(message, ref at, out var name, out var type, out var @class))
            return false;
        if (!TryReadEdns(message, at, BinaryPrimitives.ReadUInt16BigEndian(message[10..]), out var edns))
            return false;
        if (edns is { Version: not 0 })
            answer = DnsCode.BadVersion;
        query = new DnsQuery(BinaryPrimitives.ReadUInt16BigEndian(message), flags, name, type, @class)
        {
            HasEdns = edns is not null,
            UdpBytes = Math.Clamp(edns?.UdpBytes ?? 0, PlainUdpBytes, EdnsUdpBytes),
            DnssecOk = edns is { DnssecOk: true },
        };
        if (answer == DnsCode.BadVersion)
            return false;
        answer = null;
        return true;
    }

    /// <summary>Writes the same question for another resolver: recursion desired, with EDNS when the asker had it, and nothing else of what the asker sent.</summary>
    /// <param name="id">Ours.</param>
    /// <param name="to">Room for 300 bytes.</param>
    /// <returns>Bytes written.</returns>
    public int WriteForwarded(ushort id, Span<byte> to)
    {
        to[..HeaderBytes].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(to, id);
        BinaryPrimitives.WriteUInt16BigEndian(to[2..], (ushort)(RecursionDesired | (Flags & CheckingDisabled)));
        to[5] = 1;
        to[11] = HasEdns ? (byte)1 : (byte)0;
        return DnsAnswer.WriteTail(this, to, 0);
    }

    /// <summary>True when a message answers what <see cref="WriteForwarded"/> asked.</summary>
    /// <param name="id">As it was asked with.</param>
    /// <param name="message">Of any content.</param>
    public bool IsAnsweredBy(ushort id, ReadOnlySpan<byte> message)
    {
        var at = HeaderBytes;
        return message.Length >= HeaderBytes
            && BinaryPrimitives.ReadUInt16BigEndian(message) == id
            && (BinaryPrimitives.ReadUInt16BigEndian(message[2..]) & (Response | OpcodeMask)) == Response
            && BinaryPrimitives.ReadUInt16BigEndian(message[4..]) == 1
            && TryReadQuestion(message, ref at, out var name, out var type, out var @class)
            && type == (ushort)Type && @class == Class && DnsName.AreEqual(name, _name);
    }

    /// <summary>True when an answer says that it was cut.</summary>
    /// <param name="answer">What <see cref="IsAnsweredBy"/> is true of.</param>
    public static bool IsTruncated(ReadOnlySpan<byte> answer) => (BinaryPrimitives.ReadUInt16BigEndian(answer[2..]) & Truncated) != 0;

    private static bool TryReadQuestion(ReadOnlySpan<byte> message, ref int at, out byte[] name, out ushort type, out ushort @class)
    {
        (name, type, @class) = ([], 0, 0);
        Span<byte> room = stackalloc byte[MaxNameBytes];
        if (!DnsName.TryRead(message, ref at, room, out var length) || message.Length - at < 4)
            return false;
        name = room[..length].ToArray();
        type = BinaryPrimitives.ReadUInt16BigEndian(message[at..]);
        @class = BinaryPrimitives.ReadUInt16BigEndian(message[(at + 2)..]);
        at += 4;
        return true;
    }

    /// <summary>Looks for the one EDNS record among those after the question; false: they can not be read, or there are two.</summary>
    private static bool TryReadEdns(ReadOnlySpan<byte> message, int at, int records, out EdnsRecord? edns)
    {
        edns = null;
        Span<byte> name = stackalloc byte[MaxNameBytes];
        for (; records > 0; records--)
        {
            if (!DnsName.TryRead(message, ref at, name, out var length) || message.Length - at < 10)
                return false;
            ushort type = BinaryPrimitives.ReadUInt16BigEndian(message[at..]);
            ushort size = BinaryPrimitives.ReadUInt16BigEndian(message[(at + 2)..]);
            uint flags = BinaryPrimitives.ReadUInt32BigEndian(message[(at + 4)..]);
            int data = BinaryPrimitives.ReadUInt16BigEndian(message[(at + 8)..]);
            at += 10;
            if (message.Length - at < data)
                return false;
            at += data;
            if (type != Edns)
                continue;
            if (edns is not null || length != 1)
                return false;
            edns = new EdnsRecord(size, (byte)((flags >> 16) & 0xff), (flags & DnsWire.DnssecOk) != 0);
        }

        return true;
    }

    private sealed record EdnsRecord(int UdpBytes, byte Version, bool DnssecOk);
}
