using System.Text;

namespace Relay.Protocol.Ssh;

/// <summary>SSH_MSG_DISCONNECT, RFC 4253 §11.1: byte 1, uint32 reason, string description, string language.</summary>
internal static class SshDisconnectMessage
{
    private const int MaximumText = 1024;

    public static byte[] ToPayload(SshDisconnectReason reason, string description)
    {
        using var writer = new SshWriter();
        writer.WriteByte(SshMessageNumber.Disconnect);
        writer.WriteUInt32((uint)reason);
        writer.WriteString(description.Length > MaximumText ? description[..MaximumText] : description);
        writer.WriteString("");
        return writer.ToArray();
    }

    /// <summary>What the peer said. A malformed message is still the end, without words.</summary>
    public static SshException Parse(ReadOnlySpan<byte> payload)
    {
        var reader = new SshReader(payload);
        reader.TryReadByte(out _);
        reader.TryReadUInt32(out var reason);
        reader.TryReadString(out var text);
        return new((SshDisconnectReason)reason, Printable(text), byPeer: true);
    }

    /// <summary>A peer's text made safe to show and to log (RFC 4251 §9.2): no control characters, bounded.</summary>
    /// <param name="text">UTF-8.</param>
    /// <param name="lines">Line feeds stay.</param>
    public static string Printable(ReadOnlySpan<byte> text, bool lines = false)
    {
        var decoded = Encoding.UTF8.GetString(text[..Math.Min(text.Length, MaximumText)]);
        return string.Create(decoded.Length, (decoded, lines), static (span, source) =>
        {
            for (var i = 0; i < span.Length; i++)
                span[i] = char.IsControl(source.decoded[i]) && !(source.lines && source.decoded[i] == '\n') ? ' ' : source.decoded[i];
        });
    }
}
