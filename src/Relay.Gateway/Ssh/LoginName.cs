using System.Buffers;
using System.Diagnostics.CodeAnalysis;

namespace Relay.Gateway.Ssh;

/// <summary>
/// What the SSH user name asks for: <c>[upstream-user@]socket</c>, or, when a preface named the socket, the upstream user alone.
/// It routes; it never says who the user is (L28).
/// </summary>
/// <param name="Socket">1..63 characters of <c>[A-Za-z0-9.-]</c>.</param>
/// <param name="UpstreamUser">User asked for on the target; null when none was.</param>
internal sealed record LoginName(string Socket, string? UpstreamUser)
{
    public const int MaxUserLength = 128;
    private const int MaxSocketLength = 63;

    private static readonly SearchValues<char> s_socketCharacters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-");

    /// <summary>Reads a login name; <paramref name="prefaceSocket"/> is null when the connection had no preface.</summary>
    /// <param name="error">Text for the user when the result is false.</param>
    public static bool TryParse(string login, string? prefaceSocket, [NotNullWhen(true)] out LoginName? name, [NotNullWhen(false)] out string? error)
    {
        name = null;
        string socket;
        string? user;
        if (prefaceSocket is not null)
        {
            socket = prefaceSocket;
            var suffix = "@" + socket;
            user = login.EndsWith(suffix, StringComparison.OrdinalIgnoreCase) ? login[..^suffix.Length] : login;
            user = user is "" or "-" ? null : user;
        }
        else
        {
            // The last @ separates: a directory user ("ann@corp.example") has one of its own.
            var at = login.LastIndexOf('@');
            socket = login[(at + 1)..];
            user = at < 0 ? null : login[..at];
        }

        if (!IsSocketName(socket))
        {
            error = "The login name is [user@]socket, for example: ssh ubuntu@db-host@gateway. A socket's name has 1 to 63 letters, digits, dots and hyphens.";
            return false;
        }

        if (user is not null && !IsUser(user))
        {
            error = "The user name before the socket must have 1 to 128 visible characters and not begin with a hyphen.";
            return false;
        }

        name = new LoginName(socket, user);
        error = null;
        return true;
    }

    public static bool IsSocketName(ReadOnlySpan<char> text) =>
        text.Length is > 0 and <= MaxSocketLength && !text.ContainsAnyExcept(s_socketCharacters);

    private static bool IsUser(string user)
    {
        if (user.Length is 0 or > MaxUserLength || user[0] == '-')
        {
            return false;
        }

        foreach (var c in user)
        {
            if (char.IsControl(c) || char.IsWhiteSpace(c) || char.IsSurrogate(c))
            {
                return false;
            }
        }

        return true;
    }
}
