using System.Net;
using Relay.Protocol.Dns;

namespace Relay.Tests.Protocol.Dns;

/// <summary>Questions and answers as bytes: RFC 1035 §4 written out by hand, hostile ones, and random ones.</summary>
public sealed class DnsQueryTests
{
    private const string Header = "1234 0100 0001 0000 0000 0000", Name = "02 4442 05 72656c6179 00";

    [Fact]
    public void A_question_is_read_and_answered_with_its_own_spelling()
    {
        var query = Read($"{Header} {Name} 0001 0001");
        Assert.Equal(("db.relay", DnsType.A, 1, false, 512), (query.Name, query.Type, query.Class, query.HasEdns, query.UdpBytes));
        // Authoritative, recursion available as asked; one record, of the name in the question; 5 seconds.
        Assert.Equal(Hex($"1234 8580 0001 0001 0000 0000 {Name} 0001 0001 c00c 0001 0001 00000005 0004 647e0304"), Answer(query, DnsCode.NoError, IPAddress.Parse("100.126.3.4")));
        // There is none: the zone's start, at the "relay" of the question.
        Assert.Equal(
            Hex($"1234 8583 0001 0000 0001 0000 {Name} 0001 0001 c00f 0006 0001 00000005 0023 c00f 0a 686f73746d6173746572 c00f 00000001 00000e10 00000258 00015180 00000005"),
            Answer(query, DnsCode.NameError));
    }

    [Theory]
    [InlineData("1000", 1232)]
    [InlineData("0200", 512)]
    [InlineData("0000", 512)]
    [InlineData("0400", 1024)]
    public void Edns_says_how_long_an_answer_may_be_and_comes_back(string size, int expected)
    {
        var query = Read($"1234 0100 0001 0000 0000 0001 {Name} 001c 0001 00 0029 {size} 00008000 0004 000a0000");
        Assert.Equal((true, expected, DnsType.Aaaa), (query.HasEdns, query.UdpBytes, query.Type));
        Assert.Equal(
            Hex($"1234 8580 0001 0001 0000 0001 {Name} 001c 0001 c00c 001c 0001 00000005 0010 fd626f72646572310000000000000005 00 0029 04d0 00008000 0000"),
            Answer(query, DnsCode.NoError, IPAddress.Parse("fd62:6f72:6465:7231::5")));
        Span<byte> forwarded = stackalloc byte[300];
        Assert.Equal(Hex($"abcd 0100 0001 0000 0000 0001 {Name} 001c 0001 00 0029 04d0 00008000 0000"), forwarded[..query.WriteForwarded(0xabcd, forwarded)].ToArray());
    }

    public static TheoryData<string, DnsCode?> Unreadable => new()
    {
        { "", null },
        { "1234 0100 0001 0000 0000", null },
        // An answer: two resolvers must not talk to each other for ever.
        { $"1234 8100 0001 0000 0000 0000 {Name} 0001 0001", null },
        { $"1234 2900 0001 0000 0000 0000 {Name} 0001 0001", DnsCode.NotImplemented },
        { $"1234 0100 0002 0000 0000 0000 {Name} 0001 0001 {Name} 0001 0001", DnsCode.FormatError },
        { "1234 0100 0000 0000 0000 0000", DnsCode.FormatError },
        { $"1234 0100 0001 0001 0000 0000 {Name} 0001 0001", DnsCode.FormatError },
        { $"{Header} {Name} 0001 00", DnsCode.FormatError },
        { $"{Header} 02 4442 05 72656c61", DnsCode.FormatError },
        // A label longer than labels are, of a kind there is not.
        { $"{Header} 40 4442 00 0001 0001", DnsCode.FormatError },
        // Pointers: at itself, forwards, at the pointer before, out of the message, cut.
        { $"{Header} c00c 0001 0001", DnsCode.FormatError },
        { $"{Header} c010 0001 0001 00", DnsCode.FormatError },
        { $"{Header} 01 61 c00c 0001 0001", DnsCode.FormatError },
        { $"{Header} ffff 0001 0001", DnsCode.FormatError },
        { $"{Header} c0", DnsCode.FormatError },
        // EDNS: twice, not of the root, longer than the message, of a version to come.
        { $"1234 0100 0001 0000 0000 0002 {Name} 0001 0001 00 0029 04d0 00000000 0000 00 0029 04d0 00000000 0000", DnsCode.FormatError },
        { $"1234 0100 0001 0000 0000 0001 {Name} 0001 0001 01 61 00 0029 04d0 00000000 0000", DnsCode.FormatError },
        { $"1234 0100 0001 0000 0000 0001 {Name} 0001 0001 00 0029 04d0 00000000 0005 00", DnsCode.FormatError },
        { $"1234 0100 0001 0000 0000 0001 {Name} 0001 0001 00 0029 04d0 00010000 0000", DnsCode.BadVersion },
    };

    [Theory]
    [MemberData(nameof(Unreadable))]
    public void What_can_not_be_answered_gets_an_error_no_longer_than_itself_or_nothing(string hex, DnsCode? expected)
    {
        var message = Hex(hex);
        Assert.False(DnsQuery.TryRead(message, out var query, out var code));
        Assert.Equal(expected, code);
        if (code is null)
            return;
        var answer = new byte[512];
        var length = DnsAnswer.WriteError(message, query, code.Value, answer);
        Assert.True(length <= message.Length);
        Assert.Equal((0x1234, true, (int)code & 15), ((answer[0] << 8) | answer[1], answer[2] >= 0x80, answer[3] & 15));
        // The upper bits of a code that needs them are in EDNS' first byte of flags.
        if (code == DnsCode.BadVersion)
            Assert.Equal(1, answer[length - 6]);
    }

    [Fact]
    public void A_name_that_is_too_long_is_refused()
    {
        // Four labels of 63 bytes are 257 with the root; 255 is the longest name, of which this is nearly one.
        var label = "3f" + string.Concat(Enumerable.Repeat("61", 63));
        Assert.False(DnsQuery.TryRead(Hex($"{Header} {label}{label}{label}{label} 00 0001 0001"), out _, out var code));
        Assert.Equal(DnsCode.FormatError, code);
        Assert.Equal(249, Read($"{Header} {label}{label}{label} 39 {string.Concat(Enumerable.Repeat("62", 57))} 00 0001 0001").Name.Length);
    }

    [Fact]
    public void Bytes_in_labels_do_not_make_other_names()
    {
        Assert.Equal("a\\046b.relay", Read($"{Header} 03 612e62 05 72656c6179 00 0001 0001").Name);
        Assert.Equal("\\000\\255\\092", Read($"{Header} 03 00ff5c 00 0001 0001").Name);
        Assert.Equal("", Read($"{Header} 00 0001 0001").Name);
    }

    [Fact]
    public void Only_the_answer_to_the_question_is_taken()
    {
        var query = Read($"{Header} {Name} 0001 0001");
        Assert.True(query.IsAnsweredBy(0x1234, Hex($"1234 8180 0001 0000 0000 0000 {Name} 0001 0001")));
        // Some servers write the name in lower case.
        Assert.True(query.IsAnsweredBy(0x1234, Hex("1234 8180 0001 0000 0000 0000 02 6462 05 52454c4159 00 0001 0001")));
        foreach (var other in new[]
        {
            $"1235 8180 0001 0000 0000 0000 {Name} 0001 0001", $"1234 0180 0001 0000 0000 0000 {Name} 0001 0001", $"1234 8180 0000 0000 0000 0000 {Name} 0001 0001",
            $"1234 8180 0001 0000 0000 0000 {Name} 001c 0001", $"1234 8180 0001 0000 0000 0000 {Name} 0001 0003", "1234 8180 0001 0000 0000 0000 02 6463 05 52454c4159 00 0001 0001", "1234 8180 0001",
        })
        {
            Assert.False(query.IsAnsweredBy(0x1234, Hex(other)), other);
        }
    }

    [Fact]
    public void Records_without_room_are_left_out_and_the_answer_says_so()
    {
        var query = Read($"{Header} {Name} 00ff 0001");
        var answer = new byte[512];
        var length = DnsAnswer.Write(query, DnsCode.NoError, [.. Enumerable.Repeat(IPAddress.IPv6Loopback, 40)], 5, "relay", answer);
        Assert.InRange(length, 480, 512);
        Assert.True(DnsQuery.IsTruncated(answer));
        Assert.Equal((length - 26) / 28, answer[7]);
        Assert.True(DnsQuery.IsTruncated(answer.AsSpan(0, DnsAnswer.WriteTruncated(query, answer))));
    }

    /// <summary>L16: mutations of good questions and random bytes; nothing throws, loops, or is answered with more than the question and what was added.</summary>
    [Fact]
    public void Any_bytes_are_read_or_refused()
    {
        byte[][] corpus =
        [
            Hex($"{Header} {Name} 0001 0001"), Hex($"1234 0100 0001 0000 0000 0001 {Name} 001c 0001 00 0029 1000 00008000 0004 000a0000"),
            Hex("1234 0100 0001 0000 0000 0001 01 61 00 0001 0001 c00c 0029 1000 00000000 0000"),
        ];
        var random = new Random(7);
        var answer = new byte[DnsWire.EdnsUdpBytes];
        var read = 0;
        for (var i = 0; i < 30_000; i++)
        {
            var message = (byte[])corpus[random.Next(corpus.Length)].Clone();
            for (var changes = random.Next(4); changes > 0; changes--)
                message[random.Next(message.Length)] = random.Next(3) == 0 ? (byte)0xc0 : (byte)random.Next(256);
            if (random.Next(3) == 0)
                message = message[..random.Next(message.Length + 1)];
            if (DnsQuery.TryRead(message, out var query, out var code))
            {
                read++;
                var length = DnsAnswer.Write(query!, DnsCode.NoError, [IPAddress.Loopback, IPAddress.IPv6Loopback], 5, null, answer);
                Assert.True(length <= message.Length + 255 + 44 + 11);
                Assert.True(query!.IsAnsweredBy(query.Id, answer.AsSpan(0, length)));
                var forwarded = query.WriteForwarded(1, answer);
                Assert.True(DnsQuery.TryRead(answer.AsSpan(0, forwarded), out var again, out _));
                Assert.Equal((query.Name, query.Type, query.Class, query.HasEdns), (again!.Name, again.Type, again.Class, again.HasEdns));
            }
            else if (code is { } error)
            {
                Assert.InRange(DnsAnswer.WriteError(message, query, error, answer), 12, 512);
            }
        }

        Assert.InRange(read, 1000, 29_000);
    }

    private static DnsQuery Read(string hex)
    {
        Assert.True(DnsQuery.TryRead(Hex(hex), out var query, out var error), error?.ToString());
        return query!;
    }

    private static byte[] Answer(DnsQuery query, DnsCode code, params IPAddress[] addresses)
    {
        var answer = new byte[512];
        return answer[..DnsAnswer.Write(query, code, addresses, 5, "relay", answer)];
    }

    private static byte[] Hex(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
}
