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
            ? string.Create(cut.Length, cut, static (span, source) =>
            {
                for (var i = 0; i < span.Length; i++)
                    span[i] = char.IsControl(source[i]) || char.IsSurrogate(source[i]) ? '?' : source[i];
            })
            : cut;
    }
}
