using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Relay.Protocol.Ssh;

/// <summary>The one-line form of keys and certificates: <c>type base64 comment</c>.</summary>
internal static class SshKeyLine
{
    /// <summary>Room for type, separators and comment beside the base64, in characters.</summary>
    private const int OverheadCharacters = 1024;

    /// <summary>Splits and decodes a line; the blob is at most <paramref name="maximumBlobLength"/> bytes.</summary>
    public static bool TrySplit(
        string line, int maximumBlobLength, [NotNullWhen(true)] out string? type, [NotNullWhen(true)] out byte[]? blob, out string comment, [NotNullWhen(false)] out string? error)
    {
        type = null;
        blob = null;
        comment = "";
        if (line is null || line.Length > (maximumBlobLength / 3 * 4) + OverheadCharacters)
        {
            error = "too long for a key";
            return false;
        }

        ReadOnlySpan<char> rest = line.AsSpan().Trim();
        foreach (char c in rest)
        {
            if (char.IsControl(c) && c != '\t')
            {
                error = "more than one line, or a control character";
                return false;
            }
        }

        ReadOnlySpan<char> name = NextField(ref rest);
        ReadOnlySpan<char> base64 = NextField(ref rest);
        var buffer = new byte[(base64.Length + 3) / 4 * 3];
        if (base64.IsEmpty || !Convert.TryFromBase64Chars(base64, buffer, out int length) || length > maximumBlobLength)
        {
            error = "not of the form 'type base64 comment'";
            return false;
        }

        type = name.ToString();
        blob = buffer.AsSpan(0, length).ToArray();
        comment = rest.ToString();
        error = null;
        return true;
    }

    /// <summary>Whether the blob begins with the type that the line gives.</summary>
    public static bool TryMatchType(string type, ReadOnlySpan<byte> blob, [NotNullWhen(false)] out string? error)
    {
        var reader = new SshReader(blob);
        bool same = reader.TryReadString(out ReadOnlySpan<byte> inner) && IsAscii(inner, type);
        error = same ? null : "the type before the key is not the type inside it";
        return same;
    }

    /// <summary>Type, base64 and comment with single spaces between.</summary>
    public static string Format(string type, ReadOnlySpan<byte> blob, string? comment)
    {
        if (string.IsNullOrEmpty(comment)) return $"{type} {Convert.ToBase64String(blob)}";
        if (comment.Any(char.IsControl)) throw new ArgumentException("A key's comment must not hold control characters.", nameof(comment));
        return $"{type} {Convert.ToBase64String(blob)} {comment}";
    }

    /// <summary>Whether the bytes are exactly this ASCII text.</summary>
    public static bool IsAscii(ReadOnlySpan<byte> bytes, string text) => Ascii.Equals(bytes, text);

    private static ReadOnlySpan<char> NextField(ref ReadOnlySpan<char> rest)
    {
        int end = rest.IndexOfAny(' ', '\t');
        ReadOnlySpan<char> field = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[end..].TrimStart();
        return field;
    }
}
