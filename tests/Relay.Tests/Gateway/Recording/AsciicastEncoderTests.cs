using System.Buffers;
using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Relay.Gateway.Recording;

namespace Relay.Tests.Gateway.Recording;

public sealed class AsciicastEncoderTests
{
    [Fact]
    public void The_header_is_version_2_with_size_title_command_and_term()
    {
        var output = new ArrayBufferWriter<byte>();
        AsciicastEncoder.WriteHeader(output, new AsciicastHeader(132, 50, DateTimeOffset.FromUnixTimeSeconds(1_700_000_000), "ann@db", "ls \"x\"", "xterm"));
        var line = Encoding.UTF8.GetString(output.WrittenSpan);
        Assert.EndsWith("\n", line);
        var header = JsonDocument.Parse(line).RootElement;
        Assert.Equal(2, header.GetProperty("version").GetInt32());
        Assert.Equal((132, 50), (header.GetProperty("width").GetInt32(), header.GetProperty("height").GetInt32()));
        Assert.Equal(1_700_000_000, header.GetProperty("timestamp").GetInt64());
        Assert.Equal("ls \"x\"", header.GetProperty("command").GetString());
        Assert.Equal("xterm", header.GetProperty("env").GetProperty("TERM").GetString());
    }

    [Fact]
    public void Times_are_seconds_with_microseconds()
    {
        var output = new ArrayBufferWriter<byte>();
        AsciicastEncoder.WriteEvent(output, TimeSpan.FromMicroseconds(12_000_345), 'r', "80x24");
        Assert.Equal("[12.000345, \"r\", \"80x24\"]\n", Encoding.UTF8.GetString(output.WrittenSpan));
    }

    [Fact]
    public void Any_text_survives_any_split_of_its_bytes() =>
        Checked.Holds(Prop.ForAll(ArbMap.Default.ArbFor<NonNull<string>>(), ArbMap.Default.ArbFor<PositiveInt>(), (text, seed) =>
        {
            var clean = new string([.. text.Get.Where(c => !char.IsSurrogate(c))]) + "é€😀\"\\\n\r\t\u001b\u007f";
            Assert.Equal(clean, Decode(Split(Encoding.UTF8.GetBytes(clean), seed.Get)));
        }));

    [Fact]
    public void Any_bytes_give_valid_json_and_the_text_a_decoder_would_give() =>
        Checked.Holds(Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), ArbMap.Default.ArbFor<PositiveInt>(), (bytes, seed) =>
        {
            // The framework's decoder, fed whole, is the oracle.
            Assert.Equal(Encoding.UTF8.GetString(bytes), Decode(Split(bytes, seed.Get)));
        }));

    [Fact]
    public void Half_a_character_waits_for_its_other_half_and_writes_no_event()
    {
        var output = new ArrayBufferWriter<byte>();
        var carry = default(Utf8Carry);
        AsciicastEncoder.WriteEvent(output, TimeSpan.Zero, 'o', [0xe2, 0x82], ref carry);
        Assert.Equal((0, 2), (output.WrittenCount, carry.Count));
        AsciicastEncoder.WriteEvent(output, TimeSpan.Zero, 'o', [0xac], ref carry);
        Assert.Equal("[0.000000, \"o\", \"€\"]\n", Encoding.UTF8.GetString(output.WrittenSpan));
    }

    private static IEnumerable<byte[]> Split(byte[] bytes, int seed)
    {
        var random = new Random(seed);
        for (var at = 0; at < bytes.Length;)
        {
            var length = Math.Min(bytes.Length - at, random.Next(1, 5));
            yield return bytes[at..(at + length)];
            at += length;
        }
    }

    private static string Decode(IEnumerable<byte[]> pieces)
    {
        var output = new ArrayBufferWriter<byte>();
        var carry = default(Utf8Carry);
        foreach (var piece in pieces)
        {
            AsciicastEncoder.WriteEvent(output, TimeSpan.Zero, 'o', piece, ref carry);
        }

        var strict = new UTF8Encoding(false, throwOnInvalidBytes: true);
        var text = string.Concat(strict.GetString(output.WrittenSpan).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement[2].GetString()));
        return carry.Count > 0 ? text + "\ufffd" : text;
    }
}
