using System.Globalization;
using System.Text;

namespace Relay.Policy;

/// <summary>JSON paths as people read them: <c>$.a.b[2]</c>, and <c>$['odd key']</c>.</summary>
internal static class JsonPath
{
    private const int MaxKeyCharacters = 64;

    public static string Child(string parent, string key)
    {
        if (key.Length is > 0 and <= MaxKeyCharacters && !char.IsAsciiDigit(key[0]) && key.All(c => char.IsAsciiLetterOrDigit(c) || c == '_'))
            return $"{parent}.{key}";
        return $"{parent}['{Printable(key)}']";
    }

    public static string Child(string parent, int index) => string.Create(CultureInfo.InvariantCulture, $"{parent}[{index}]");

    /// <summary>Bounded and without characters that could act on a terminal or end the quotation.</summary>
    public static string Printable(string text)
    {
        var builder = new StringBuilder();
        foreach (var c in text.AsSpan(0, Math.Min(text.Length, MaxKeyCharacters)))
            builder.Append(c is '\'' or '\\' || SafeText.IsUnsafe(c) ? '?' : c);
        return text.Length > MaxKeyCharacters ? builder.Append('…').ToString() : builder.ToString();
    }
}
