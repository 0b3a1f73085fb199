using System.Buffers;
using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;

namespace Relay.Protocol.Tokens;

/// <summary>base64url as RFC 7515 §2 wants it: no padding, no white space, no bits that say nothing.</summary>
internal static class Base64UrlText
{
    /// <summary>
    /// False for anything that <see cref="Base64Url.EncodeToString(ReadOnlySpan{byte})"/> would not have written: every
    /// byte string has exactly one text, so two texts cannot be the same token.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<char> text, [NotNullWhen(true)] out byte[]? bytes)
    {
        bytes = null;
        if (text.Length % 4 == 1) return false;
        foreach (char c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_')) return false;
        }

        var buffer = new byte[Base64Url.GetMaxDecodedLength(text.Length)];
        if (Base64Url.DecodeFromChars(text, buffer, out _, out int written) != OperationStatus.Done) return false;
        ReadOnlySpan<byte> decoded = buffer.AsSpan(0, written);
        if (!text.SequenceEqual(Base64Url.EncodeToString(decoded))) return false;
        bytes = decoded.ToArray();
        return true;
    }
}
