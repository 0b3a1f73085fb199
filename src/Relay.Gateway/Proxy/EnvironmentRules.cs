namespace Relay.Gateway.Proxy;

/// <summary>
/// Which environment variables a user may set on a target: those that describe the user's terminal and language, by an
/// allow-list, because a name that reaches a loader or an interpreter runs code (L20: LD_*, DYLD_*, GLIBC_TUNABLES, BASH_ENV).
/// </summary>
internal static class EnvironmentRules
{
    /// <summary>More variables than this in one channel are refused.</summary>
    public const int MaxVariables = 64;

    private static readonly System.Buffers.SearchValues<char> s_localeName = System.Buffers.SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

    private const int MaxValueLength = 1024;

    public static bool IsAllowed(string name, string value)
    {
        var known = name is "LANG" or "LANGUAGE" or "TERM" or "COLORTERM" or "TERM_PROGRAM" or "TERM_PROGRAM_VERSION" or "GIT_PROTOCOL"
            || (name.StartsWith("LC_", StringComparison.Ordinal) && name.Length is > 3 and <= 40
                && !name.AsSpan(3).ContainsAnyExcept(s_localeName));
        return known && value.Length <= MaxValueLength && !value.AsSpan().ContainsAnyInRange('\0', '\u001f');
    }
}
