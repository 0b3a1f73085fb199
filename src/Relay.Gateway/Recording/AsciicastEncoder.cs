using System.Buffers;
using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace Relay.Gateway.Recording;

/// <summary>
/// Writes asciicast v2 (https://docs.asciinema.org/manual/asciicast/v2/): one JSON value per line, first the header,
/// then <c>[seconds, code, data]</c>. Codes: "o" output, "i" input, "r" resize "COLSxROWS", "m" marker.
/// Whatever bytes come in, the output is valid UTF-8 and valid JSON: what is not UTF-8 becomes U+FFFD.
/// </summary>
internal static class AsciicastEncoder
{
    // What may stand in a JSON string as it is; everything else goes through the slow path.
    private static readonly SearchValues<byte> s_plain = SearchValues.Create(
        [.. Enumerable.Range(0x20, 0x5f).Select(b => (byte)b).Where(b => b is not ((byte)'"' or (byte)'\\'))]);

    public static void WriteHeader(IBufferWriter<byte> output, AsciicastHeader header)
    {
        using (var json = new Utf8JsonWriter(output))
        {
            json.WriteStartObject();
            json.WriteNumber("version", 2);
            json.WriteNumber("width", header.Width);
            json.WriteNumber("height", header.Height);
            json.WriteNumber("timestamp", header.StartedAt.ToUnixTimeSeconds());
            json.WriteString("title", header.Title);
            if (header.Command is not null)
            {
                json.WriteString("command", header.Command);
            }

            if (header.Term is not null)
            {
                json.WriteStartObject("env");
                json.WriteString("TERM", header.Term);
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        output.Write("\n"u8);
    }

    /// <summary>Writes one event of whole text, for resizes and markers.</summary>
    public static void WriteEvent(IBufferWriter<byte> output, TimeSpan at, char code, string text)
    {
        var carry = default(Utf8Carry);
        WriteEvent(output, at, code, Encoding.UTF8.GetBytes(text), ref carry);
    }

    /// <summary>
    /// Writes one event. A sequence that <paramref name="data"/> ends in the middle of is held in <paramref name="carry"/>
    /// and comes with the next event; when nothing else is left, no event is written.
    /// </summary>
    public static void WriteEvent(IBufferWriter<byte> output, TimeSpan at, char code, ReadOnlySpan<byte> data, ref Utf8Carry carry)
    {
        Span<byte> joint = stackalloc byte[8];
        var held = carry.MoveTo(joint);
        var opened = false;
        if (held > 0)
        {
            // Complete the held sequence byte by byte: at most three more belong to it.
            while (held > 0)
            {
                var status = Rune.DecodeFromUtf8(joint[..held], out _, out var used);
                if (status == OperationStatus.NeedMoreData)
                {
                    if (data.IsEmpty)
                    {
                        carry.Hold(joint[..held]);
                        Close(output, opened);
                        return;
                    }

                    joint[held++] = data[0];
                    data = data[1..];
                    continue;
                }

                Open(output, at, code, ref opened);
                WriteRune(output, status == OperationStatus.Done ? joint[..used] : "\ufffd"u8, joint[0]);
                joint[used..held].CopyTo(joint);
                held -= used;
            }
        }

        while (!data.IsEmpty)
        {
            var plain = data.IndexOfAnyExcept(s_plain);
            if (plain != 0)
            {
                var run = plain < 0 ? data : data[..plain];
                Open(output, at, code, ref opened);
                output.Write(run);
                data = data[run.Length..];
                continue;
            }

            var status = Rune.DecodeFromUtf8(data, out _, out var used);
            if (status == OperationStatus.NeedMoreData)
            {
                carry.Hold(data);
                break;
            }

            Open(output, at, code, ref opened);
            WriteRune(output, status == OperationStatus.Done ? data[..used] : "\ufffd"u8, data[0]);
            data = data[used..];
        }

        Close(output, opened);
    }

    private static void Open(IBufferWriter<byte> output, TimeSpan at, char code, ref bool opened)
    {
        if (opened)
        {
            return;
        }

        opened = true;
        var span = output.GetSpan(40);
        span[0] = (byte)'[';
        var micros = Math.Max(0, at.Ticks / TimeSpan.TicksPerMicrosecond);
        Utf8Formatter.TryFormat(micros / 1_000_000, span[1..], out var n);
        n++;
        span[n++] = (byte)'.';
        Utf8Formatter.TryFormat(micros % 1_000_000, span[n..], out var digits, new StandardFormat('D', 6));
        n += digits;
        ", \""u8.CopyTo(span[n..]);
        n += 3;
        span[n++] = (byte)code;
        "\", \""u8.CopyTo(span[n..]);
        output.Advance(n + 4);
    }

    private static void Close(IBufferWriter<byte> output, bool opened)
    {
        if (opened)
        {
            output.Write("\"]\n"u8);
        }
    }

    private static void WriteRune(IBufferWriter<byte> output, ReadOnlySpan<byte> utf8, byte first)
    {
        switch (first)
        {
            case (byte)'"':
                output.Write("\\\""u8);
                break;
            case (byte)'\\':
                output.Write("\\\\"u8);
                break;
            case (byte)'\n':
                output.Write("\\n"u8);
                break;
            case (byte)'\r':
                output.Write("\\r"u8);
                break;
            case (byte)'\t':
                output.Write("\\t"u8);
                break;
            case < 0x20 or 0x7f:
                var span = output.GetSpan(6);
                "\\u00"u8.CopyTo(span);
                span[4] = HexDigit(first >> 4);
                span[5] = HexDigit(first & 15);
                output.Advance(6);
                break;
            default:
                output.Write(utf8);
                break;
        }
    }

    private static byte HexDigit(int value) => (byte)(value < 10 ? '0' + value : 'a' + value - 10);
}
