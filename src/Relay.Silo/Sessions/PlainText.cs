using System.Text;

namespace Relay.Silo.Sessions;

/// <summary>Makes text from a peer fit to be stored and shown.</summary>
internal static class PlainText
{
    /// <summary>Control characters become '?'; cut to <paramref name="maxLength"/>; null is empty.</summary>
    public static string Clean(string? text, int maxLength)
    {
        if (string.IsNullOrEmpty(text))
            return "";
        var cut = text.Length > maxLength ? text[..maxLength] : text;
        return cut.Any(c => char.IsControl(c) || char.IsSurrogate(c))
            ? string.Concat(cut.EnumerateRunes().Select(r => Rune.IsControl(r) || r == Rune.ReplacementChar ? "?" : r.ToString()))
            : cut;
    }

    /// <summary>As sent, but for NUL, which PostgreSQL's text does not hold.</summary>
    public static string Storable(string text) => text.Replace('\0', '\uFFFD');
}
