using System.Text;

namespace Relay.Gateway.Access;

/// <summary>Text on its way to a user's terminal.</summary>
internal static class UserText
{
    private const int MaxLength = 4000;

    /// <summary>Removes control characters but line feeds: what a target or a name says must not drive the user's terminal.</summary>
    public static string Clean(string text)
    {
        var cut = text.Length <= MaxLength ? text : text[..MaxLength] + "…";
        return string.Create(cut.Length, cut, static (span, source) =>
        {
            for (var i = 0; i < source.Length; i++)
            {
                span[i] = source[i] == '\n' || !char.IsControl(source[i]) ? source[i] : ' ';
            }
        });
    }

    /// <summary>One line, for places that show no more: disconnect and channel-open messages.</summary>
    public static string Line(string text) => Clean(text).ReplaceLineEndings("; ").Replace('\n', ' ').Trim();

    /// <summary>Lines for a terminal in raw mode or not: each ends with CR LF.</summary>
    public static byte[] TerminalLines(string text)
    {
        var lines = new StringBuilder();
        foreach (var line in Clean(text).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            lines.Append(line.TrimEnd()).Append("\r\n");
        }

        return Encoding.UTF8.GetBytes(lines.ToString());
    }
}
