using System.Globalization;
using System.Text;

namespace Relay.Protocol.Dns;

/// <summary>Names on the wire: labels of 1 to 63 bytes, each after its length, then 0; RFC 1035 §3.1.</summary>
internal static class DnsName
{
    private const int MaxLabelBytes = 63;

    /// <summary>Reads a name, following pointers that lead backwards only, so that there is no loop; RFC 1035 §4.1.4.</summary>
    /// <param name="message">From its first byte.</param>
    /// <param name="at">Where the name begins; after it when true.</param>
    /// <param name="name">Room for <see cref="DnsWire.MaxNameBytes"/>: the name without pointers.</param>
    /// <param name="length">Its bytes.</param>
    public static bool TryRead(ReadOnlySpan<byte> message, ref int at, Span<byte> name, out int length)
    {
        length = 0;
        var (from, limit, after) = (at, at, -1);
        while (from < message.Length)
        {
            int label = message[from];
            if (label >= 0xc0)
            {
                if (from + 1 >= message.Length)
                    return false;
                if (after < 0)
                    after = from + 2;
                from = ((label & 0x3f) << 8) | message[from + 1];
                // Each one leads to before where the last one was followed to: at most a message's length of them, and no loop.
                if (from >= limit)
                    return false;
                limit = from;
                continue;
            }

            if (label > MaxLabelBytes || from + 1 + label > message.Length || length + 1 + label > name.Length)
                return false;
            message.Slice(from, 1 + label).CopyTo(name[length..]);
            (from, length) = (from + 1 + label, length + 1 + label);
            if (label == 0)
            {
                at = after < 0 ? from : after;
                return true;
            }
        }

        return false;
    }

    /// <summary>In lower case, with dots, without the last one; bytes that are no printable ASCII, and dots in labels, as <c>\DDD</c>. The root is empty.</summary>
    public static string ToText(ReadOnlySpan<byte> name)
    {
        var text = new StringBuilder(name.Length);
        for (int at = 0; name[at] != 0; at += 1 + name[at])
        {
            if (at > 0)
                text.Append('.');
            foreach (var b in name.Slice(at + 1, name[at]))
            {
                if (b is > 0x20 and < 0x7f and not (byte)'.' and not (byte)'\\')
                    text.Append(char.ToLowerInvariant((char)b));
                else
                    text.Append(CultureInfo.InvariantCulture, $"\\{b:D3}");
            }
        }

        return text.ToString();
    }

    /// <summary>Bytes that a name of ordinary labels takes on the wire.</summary>
    public static int LengthOf(string text) => text.Length == 0 ? 1 : text.Length + 2;

    /// <summary>Equal but for the case of ASCII letters.</summary>
    public static bool AreEqual(ReadOnlySpan<byte> one, ReadOnlySpan<byte> other)
    {
        if (one.Length != other.Length)
            return false;
        for (var i = 0; i < one.Length; i++)
        {
            if (Lower(one[i]) != Lower(other[i]))
                return false;
        }

        return true;
    }

    // Lengths of labels are below every letter.
    private static int Lower(byte b) => b is >= (byte)'A' and <= (byte)'Z' ? b + 32 : b;
}
