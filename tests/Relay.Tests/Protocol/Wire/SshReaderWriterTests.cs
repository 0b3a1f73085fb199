using System.Numerics;
using FsCheck;
using FsCheck.Fluent;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Wire;

public sealed class SshReaderWriterTests
{
    [Fact]
    public void What_is_written_is_read_again()
    {
        Checked.Holds(Prop.ForAll((byte[] bytes, uint u32, ulong u64) =>
        {
            bytes ??= [];
            bool flag = (u32 & 1) == 0;
            using var writer = new SshWriter(1);
            writer.WriteByte(7);
            writer.WriteBoolean(flag);
            writer.WriteUInt32(u32);
            writer.WriteUInt64(u64);
            writer.WriteString(bytes);
            writer.WriteMpint(bytes);
            var reader = new SshReader(writer.WrittenSpan);
            return reader.TryReadByte(out byte b) && b == 7
                && reader.TryReadBoolean(out bool readFlag) && readFlag == flag
                && reader.TryReadUInt32(out uint readU32) && readU32 == u32
                && reader.TryReadUInt64(out ulong readU64) && readU64 == u64
                && reader.TryReadString(out ReadOnlySpan<byte> readBytes) && readBytes.SequenceEqual(bytes)
                && reader.TryReadMpint(out ReadOnlySpan<byte> magnitude)
                && new BigInteger(magnitude, isUnsigned: true, isBigEndian: true) == new BigInteger(bytes, isUnsigned: true, isBigEndian: true)
                && reader.IsAtEnd;
        }));
    }

    // RFC 4251 §5, the examples under mpint.
    [Theory]
    [InlineData("", "00000000")]
    [InlineData("09a378f9b2e332a7", "0000000809a378f9b2e332a7")]
    [InlineData("80", "000000020080")]
    public void Mpint_is_written_as_the_specification_shows(string magnitude, string encoded)
    {
        using var writer = new SshWriter();
        writer.WriteMpint([0, 0, .. Convert.FromHexString(magnitude)]);
        Assert.Equal(encoded, Convert.ToHexStringLower(writer.WrittenSpan));
    }

    [Theory]
    [InlineData("00000002edcc")] // -1234, RFC 4251 §5
    [InlineData("00000005ff21524111")] // -deadbeef, RFC 4251 §5
    [InlineData("0000000100")]
    [InlineData("00000002007f")]
    [InlineData("00000003000080")]
    public void Mpint_that_is_negative_or_not_minimal_is_refused(string encoded)
    {
        var reader = new SshReader(Convert.FromHexString(encoded));
        Assert.False(reader.TryReadMpint(out _));
        Assert.Equal(0, reader.Position);
    }

    // RFC 4251 §5, the examples under name-list.
    [Theory]
    [InlineData("00000000", "")]
    [InlineData("000000047a6c6962", "zlib")]
    [InlineData("000000097a6c69622c6e6f6e65", "zlib|none")]
    public void Name_list_is_read_and_written_as_the_specification_shows(string encoded, string names)
    {
        string[] expected = names.Length == 0 ? [] : names.Split('|');
        var reader = new SshReader(Convert.FromHexString(encoded));
        Assert.True(reader.TryReadNameList(out string[] read));
        Assert.Equal(expected, read);
        using var writer = new SshWriter();
        writer.WriteNameList(expected);
        Assert.Equal(encoded, Convert.ToHexStringLower(writer.WrittenSpan));
    }

    [Theory]
    [InlineData(",")]
    [InlineData("a,")]
    [InlineData(",a")]
    [InlineData("a,,b")]
    [InlineData("a b")]
    [InlineData("a\n")]
    [InlineData("é")]
    [InlineData("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")] // 65
    public void Name_list_with_a_bad_name_is_refused(string list)
    {
        using var writer = new SshWriter();
        writer.WriteString(list);
        var reader = new SshReader(writer.WrittenSpan);
        Assert.False(reader.TryReadNameList(out _));
        Assert.Equal(0, reader.Position);
    }

    [Theory, InlineData(256, true), InlineData(257, false)]
    public void Name_list_has_a_bound(int names, bool accepted)
    {
        using var writer = new SshWriter();
        writer.WriteString(string.Join(',', Enumerable.Repeat("a", names)));
        var reader = new SshReader(writer.WrittenSpan);
        Assert.Equal(accepted, reader.TryReadNameList(out string[] read));
        Assert.Equal(accepted ? names : 0, read.Length);
    }

    // L14, L16: the length is compared before anything is sliced or allocated.
    [Theory]
    [InlineData("ffffffff")]
    [InlineData("80000000")]
    [InlineData("7fffffff00")]
    [InlineData("0000000500000000")]
    [InlineData("000001")]
    [InlineData("")]
    public void L16_string_longer_than_the_message_is_refused_and_costs_nothing(string encoded)
    {
        byte[] data = Convert.FromHexString(encoded);
        long before = GC.GetAllocatedBytesForCurrentThread();
        var reader = new SshReader(data);
        bool read = reader.TryReadString(out _) || reader.TryReadMpint(out _) || reader.TryReadText(int.MaxValue, out _) || reader.TryReadNameList(out _);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.False(read);
        Assert.Equal(0, reader.Position);
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void Text_that_is_not_utf8_is_refused()
    {
        var reader = new SshReader([0, 0, 0, 2, 0xc3, 0x28]);
        Assert.False(reader.TryReadText(10, out _));
        Assert.True(reader.TryReadString(out _));
    }

    [Fact]
    public void Strings_nest()
    {
        using var writer = new SshWriter(1);
        int outer = writer.BeginString();
        int inner = writer.BeginString();
        writer.WriteByte(1);
        writer.EndString(inner);
        writer.WriteByte(2);
        writer.EndString(outer);
        Assert.Equal("00000006000000010102", Convert.ToHexStringLower(writer.WrittenSpan));
    }

    [Fact]
    public void Writer_is_a_buffer_writer_and_is_reused_after_clear()
    {
        using var writer = new SshWriter(16);
        "hello"u8.CopyTo(writer.GetSpan(5));
        writer.Advance(5);
        Assert.Equal("hello"u8, writer.WrittenSpan);
        writer.Clear();
        Assert.Equal(0, writer.Length);
        writer.WriteBytes(new byte[100_000]);
        Assert.Equal(100_000, writer.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => writer.Advance(int.MaxValue));
        writer.Dispose();
        writer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => writer.WriteByte(0));
    }
}
