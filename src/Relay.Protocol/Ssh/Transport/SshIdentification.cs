using System.Text;

namespace Relay.Protocol.Ssh;

/// <summary>
/// The identification exchange, RFC 4253 §4.2: <c>SSH-2.0-softwareversion SP comments CR LF</c>, at most 255 bytes with
/// CR LF. A server may send other lines before it, a client may not. Not thread-safe.
/// </summary>
internal sealed class SshIdentificationReader(SshRole role)
{
    private const int MaximumLine = 255;
    private int _lines;
    private int _bytes;

    /// <summary>
    /// Takes at most one line from the front of <paramref name="input"/>. False: more bytes are needed (nothing was
    /// consumed). True with a null <paramref name="version"/>: a line before the identification was skipped.
    /// </summary>
    /// <exception cref="SshException">The line is too long, too many came, or it is not SSH 2.0.</exception>
    public bool TryReadLine(ReadOnlySpan<byte> input, out int consumed, out string? version)
    {
        consumed = 0;
        version = null;
        var window = input[..Math.Min(input.Length, LineLimit(input))];
        var end = window.IndexOf((byte)'\n');
        if (end < 0)
        {
            if (window.Length < LineLimit(input))
            {
                if (role == SshRole.Server && !IsPrefix(input))
                    throw NotSsh();
                return false;
            }

            throw new SshException(SshDisconnectReason.ProtocolVersionNotSupported, "The identification string is longer than 255 bytes.");
        }

        consumed = end + 1;
        // RFC 4253 §4.2 wants CR LF; a bare LF is accepted as everybody does.
        var line = window[..(end > 0 && window[end - 1] == '\r' ? end - 1 : end)];
        if (!line.StartsWith("SSH-"u8))
        {
            if (role == SshRole.Server)
                throw NotSsh();
            _bytes += consumed;
            if (++_lines > SshLimits.LinesBeforeIdentification || _bytes > SshLimits.BytesBeforeIdentification)
                throw new SshException(SshDisconnectReason.ProtocolVersionNotSupported, "The server sends no SSH identification string.");
            return true;
        }

        // "1.99" is a server that also speaks the old version, RFC 4253 §5.1.
        if (!line.StartsWith("SSH-2.0-"u8) && !(role == SshRole.Client && line.StartsWith("SSH-1.99-"u8)))
            throw new SshException(SshDisconnectReason.ProtocolVersionNotSupported, "The peer does not speak SSH 2.0.");
        if (line.IndexOfAnyExceptInRange((byte)' ', (byte)'~') >= 0)
            throw new SshException(SshDisconnectReason.ProtocolVersionNotSupported, "The identification string holds characters that are not printable US-ASCII.");
        version = Encoding.ASCII.GetString(line);
        return true;
    }

    private static SshException NotSsh()
        => new(SshDisconnectReason.ProtocolVersionNotSupported, "The client sends no SSH identification string.");

    // Lines before the identification have no length limit of their own in the RFC; ours is the sum of all.
    private int LineLimit(ReadOnlySpan<byte> input)
        => role == SshRole.Client && !IsPrefix(input) ? SshLimits.BytesBeforeIdentification : MaximumLine;

    private static bool IsPrefix(ReadOnlySpan<byte> input)
    {
        var prefix = "SSH-"u8;
        return input.Length < prefix.Length ? prefix.StartsWith(input) : input.StartsWith(prefix);
    }
}
