using System.Globalization;
using System.Text;

namespace Relay.Policy;

/// <summary>Text of users, made safe to show: in a terminal, in a log, in a sentence.</summary>
internal static class SafeText
{
    private const int MaxQuoted = 100;

    /// <summary>Control characters (terminal escapes), invisible and direction-changing ones, halves of surrogate pairs.</summary>
    public static bool IsUnsafe(char c) => char.GetUnicodeCategory(c)
        is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.PrivateUse or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator;

    /// <summary>In double quotes, bounded, unsafe characters as '?'.</summary>
    public static string Quote(string text)
    {
        var builder = new StringBuilder("\"");
        foreach (var c in text.AsSpan(0, Math.Min(text.Length, MaxQuoted)))
            builder.Append(IsUnsafe(c) ? '?' : c);
        return builder.Append(text.Length > MaxQuoted ? "…\"" : "\"").ToString();
    }
}
