using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using static Relay.Protocol.Dns.DnsWire;

namespace Relay.Protocol.Dns;

/// <summary>Writes answers. What is written is never longer than the question by more than its records and EDNS.</summary>
public static class DnsAnswer
{
    private const ushort PointerToQuestion = 0xc000 | HeaderBytes;

    // Of a start of authority: serial, refresh, retry, expire; nobody transfers the zone, so they tell nothing.
    private static readonly uint[] Times = [1, 3600, 600, 86_400];

    /// <summary>Answers with a code alone a message that <see cref="DnsQuery.TryRead"/> did not take.</summary>
    /// <param name="message">The message.</param>
    /// <param name="query">The question as far as it was read; null: not at all.</param>
    /// <param name="code">What it is answered with.</param>
    /// <param name="to">Room for 512 bytes.</param>
    /// <returns>Bytes written.</returns>
    public static int WriteError(ReadOnlySpan<byte> message, DnsQuery? query, DnsCode code, Span<byte> to)
    {
        if (query is not null)
            return Write(query, code, [], 0, null, to, isOurs: false);
        to[..HeaderBytes].Clear();
        message[..2].CopyTo(to);
        int flags = BinaryPrimitives.ReadUInt16BigEndian(message[2..]);
        BinaryPrimitives.WriteUInt16BigEndian(to[2..], (ushort)(Response | (flags & (OpcodeMask | RecursionDesired)) | (int)code));
        return HeaderBytes;
    }

    /// <summary>Answers a question.</summary>
    /// <param name="query">The question.</param>
    /// <param name="code">What is said of it.</param>
    /// <param name="addresses">Records of the name itself: A and AAAA.</param>
    /// <param name="secondsToLive">How long the answer holds, also a negative one's.</param>
    /// <param name="zone">The zone the name is in, which is named when there is no record; null: none of ours.</param>
    /// <param name="to">Room for 1232 bytes; records that find none are left out, and the answer says that it was cut.</param>
    /// <param name="isOurs">Said with authority.</param>
    /// <param name="withZone">The start of the zone is asked for, and is the answer.</param>
    /// <returns>Bytes written.</returns>
    public static int Write(DnsQuery query, DnsCode code, IReadOnlyList<IPAddress> addresses, uint secondsToLive, string? zone, Span<byte> to, bool isOurs = true, bool withZone = false)
    {
        ArgumentNullException.ThrowIfNull(query);
        ArgumentNullException.ThrowIfNull(addresses);
        to[..HeaderBytes].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(to, query.Id);
        var flags = Response | (query.Flags & (RecursionDesired | CheckingDisabled)) | RecursionAvailable | ((int)code & 15) | (isOurs ? Authoritative : 0);
        to[5] = 1;
        // The question and EDNS come first in the count of what has to have room.
        var end = HeaderBytes + query.NameBytes.Length + 4;
        var room = to.Length - (query.HasEdns ? EdnsLength : 0);
        var records = 0;
        foreach (var address in addresses)
        {
            var data = address.AddressFamily == AddressFamily.InterNetwork ? 4 : 16;
            if (end + 12 + data > room)
            {
                flags |= Truncated;
                break;
            }

            end += WriteRecord(to[end..], PointerToQuestion, data == 4 ? DnsType.A : DnsType.Aaaa, secondsToLive, data);
            address.TryWriteBytes(to[(end - data)..], out _);
            records++;
        }

        to[7] = (byte)records;
        if (zone is not null && records == 0)
        {
            end += WriteZone(to[end..], query, zone, secondsToLive);
            to[withZone ? 7 : 9] = 1;
        }

        BinaryPrimitives.WriteUInt16BigEndian(to[2..], (ushort)flags);
        to[11] = query.HasEdns ? (byte)1 : (byte)0;
        WriteQuestion(query, to);
        return end + WriteEdns(query, (int)code >> 4, to[end..]);
    }

    /// <summary>Answers that the answer is too long for UDP: the client asks again over TCP.</summary>
    /// <param name="query">The question.</param>
    /// <param name="to">Room for 512 bytes.</param>
    /// <returns>Bytes written.</returns>
    public static int WriteTruncated(DnsQuery query, Span<byte> to)
    {
        var length = Write(query, DnsCode.NoError, [], 0, null, to, isOurs: false);
        to[2] |= Truncated >> 8;
        return length;
    }

    internal const int EdnsLength = 11;

    /// <summary>The question and EDNS after a header that is there.</summary>
    internal static int WriteTail(DnsQuery query, Span<byte> to, int extendedCode)
    {
        var end = WriteQuestion(query, to);
        return end + WriteEdns(query, extendedCode, to[end..]);
    }

    private static int WriteQuestion(DnsQuery query, Span<byte> to)
    {
        query.NameBytes.CopyTo(to[HeaderBytes..]);
        var at = HeaderBytes + query.NameBytes.Length;
        BinaryPrimitives.WriteUInt16BigEndian(to[at..], (ushort)query.Type);
        BinaryPrimitives.WriteUInt16BigEndian(to[(at + 2)..], (ushort)query.Class);
        return at + 4;
    }

    private static int WriteEdns(DnsQuery query, int extendedCode, Span<byte> to)
    {
        if (!query.HasEdns)
            return 0;
        to[..EdnsLength].Clear();
        BinaryPrimitives.WriteUInt16BigEndian(to[1..], Edns);
        BinaryPrimitives.WriteUInt16BigEndian(to[3..], EdnsUdpBytes);
        BinaryPrimitives.WriteUInt32BigEndian(to[5..], ((uint)extendedCode << 24) | (query.DnssecOk ? DnssecOk : 0));
        return EdnsLength;
    }

    private static int WriteRecord(Span<byte> to, ushort pointer, DnsType type, uint secondsToLive, int dataLength)
    {
        BinaryPrimitives.WriteUInt16BigEndian(to, pointer);
        BinaryPrimitives.WriteUInt16BigEndian(to[2..], (ushort)type);
        BinaryPrimitives.WriteUInt16BigEndian(to[4..], Internet);
        BinaryPrimitives.WriteUInt32BigEndian(to[6..], secondsToLive);
        BinaryPrimitives.WriteUInt16BigEndian(to[10..], (ushort)dataLength);
        return 12 + dataLength;
    }

    /// <summary>The start of authority, RFC 1035 §3.3.13; its name is the end of the question's.</summary>
    private static int WriteZone(Span<byte> to, DnsQuery query, string zone, uint secondsToLive)
    {
        var pointer = (ushort)(0xc000 | (HeaderBytes + query.NameBytes.Length - DnsName.LengthOf(zone)));
        // The zone serves itself, and its administrator has the name that is usual.
        ReadOnlySpan<byte> administrator = "\x0ahostmaster"u8;
        var length = WriteRecord(to, pointer, DnsType.Soa, secondsToLive, 2 + administrator.Length + 2 + 20);
        var data = to[12..];
        BinaryPrimitives.WriteUInt16BigEndian(data, pointer);
        administrator.CopyTo(data[2..]);
        BinaryPrimitives.WriteUInt16BigEndian(data[(2 + administrator.Length)..], pointer);
        data = data[(4 + administrator.Length)..];
        for (var i = 0; i < Times.Length; i++)
            BinaryPrimitives.WriteUInt32BigEndian(data[(4 * i)..], Times[i]);
        BinaryPrimitives.WriteUInt32BigEndian(data[16..], secondsToLive);
        return length;
    }
}
