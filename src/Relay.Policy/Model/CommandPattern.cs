using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Relay.Policy;

/// <summary>
/// One entry of <c>exec.commands</c>: the whole command line, where <c>*</c> stands for any run of ordinary characters,
/// <c>\*</c> for a star and <c>\\</c> for a backslash. Everything else stands for itself. Immutable.
/// SECURITY: the target's shell will read the command line. So <c>*</c> never stands for a character that a shell gives a meaning
/// (<see cref="ShellCharacters"/>, line breaks and other control characters): each of those must be written in the pattern where it
/// occurs. Quotes count too, because a quote inside a run would turn a quoted <c>;</c> of the pattern into a live one.
/// </summary>
internal sealed class CommandPattern
{
    /// <summary>Separators, redirection, substitution, grouping, quoting, comments; <c>^</c> and <c>%</c> for cmd.exe.</summary>
    public const string ShellCharacters = ";&|<>(){}$`\\\"'#^%";

    // A noncharacter: TryCreate refuses it in a pattern, so no literal is mistaken for the star.
    private const char Star = '\uFFFF';

    private readonly string _tokens;

    private CommandPattern(string text, string tokens)
    {
        Text = text;
        _tokens = tokens;
    }

    /// <summary>The pattern as written.</summary>
    public string Text { get; }

    public static bool TryCreate(string text, [NotNullWhen(true)] out CommandPattern? pattern, [NotNullWhen(false)] out string? error)
    {
        pattern = null;
        var tokens = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c == '*')
            {
                if (tokens.Length == 0 || tokens[^1] != Star)
                    tokens.Append(Star);
                continue;
            }

            if (c == '\\' && (++i == text.Length || (c = text[i]) is not ('*' or '\\')))
            {
                error = "A backslash must be followed by * or another backslash.";
                return false;
            }

            if (IsUnprintable(c))
            {
                error = "A pattern cannot hold control characters or line breaks; a command line with one matches no pattern.";
                return false;
            }

            tokens.Append(c);
        }

        error = null;
        pattern = new CommandPattern(text, tokens.ToString());
        return true;
    }

    /// <summary>True when the pattern stands for the whole of <paramref name="commandLine"/>. Longer than <see cref="PolicyLimits.MaxCommandLineLength"/>: never.</summary>
    public bool Matches(ReadOnlySpan<char> commandLine)
    {
        if (commandLine.Length > PolicyLimits.MaxCommandLineLength)
            return false;

        // Greedy with one point to return to: the latest star. Giving an earlier star more never helps: it could only pass over
        // ordinary characters, so the literals after it hold the same shell characters at their earliest place.
        int at = 0, token = 0, starToken = -1, starEnd = 0;
        while (at < commandLine.Length)
        {
            if (token < _tokens.Length && _tokens[token] == Star)
            {
                starToken = token++;
                starEnd = at;
            }
            else if (token < _tokens.Length && _tokens[token] == commandLine[at])
            {
                token++;
                at++;
            }
            else if (starToken >= 0 && IsOrdinary(commandLine[starEnd]))
            {
                token = starToken + 1;
                at = ++starEnd;
            }
            else
            {
                return false;
            }
        }

        while (token < _tokens.Length && _tokens[token] == Star)
            token++;
        return token == _tokens.Length;
    }

    // U+FFFD is what a decoder makes of bytes that are not UTF-8: the target would see something else than we do.
    private static bool IsUnprintable(char c) => char.IsControl(c) || c is '\u2028' or '\u2029' or '\uFFFD' or '\uFFFE' or '\uFFFF';

    private static bool IsOrdinary(char c) => !IsUnprintable(c) && !ShellCharacters.Contains(c, StringComparison.Ordinal);
}
