namespace Relay.Connector.BuiltInSsh;

/// <summary>What is run for a shell, a command or a subsystem, and with which environment.</summary>
internal static class LoginCommand
{
    private static readonly string[] s_sftpServers = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server"];
    private static readonly string[] s_setpriv = ["/usr/bin/setpriv", "/bin/setpriv"];

    /// <param name="command">Null: a login shell.</param>
    public static string[] Argv(LocalUser user, string? command) =>
        [.. As(user), user.Shell, .. command is null ? new[] { "-l" } : ["-c", command]];

    /// <summary>Null: this machine has no sftp server.</summary>
    public static string[]? Sftp(LocalUser user) =>
        s_sftpServers.FirstOrDefault(File.Exists) is { } server ? [.. As(user), server] : null;

    public static string[] Environment(LocalUser user, IReadOnlyDictionary<string, string> requested, params (string Name, string? Value)[] more)
    {
        var variables = new Dictionary<string, string>(requested)
        {
            ["HOME"] = user.Home,
            ["USER"] = user.Name,
            ["LOGNAME"] = user.Name,
            ["SHELL"] = user.Shell,
            ["PATH"] = user.Uid == 0 ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" : "/usr/local/bin:/usr/bin:/bin:/usr/games",
        };
        foreach (var (name, value) in more)
            if (value is not null)
                variables[name] = value;
        return [.. variables.Select(v => $"{v.Key}={v.Value}")];
    }

    /// <summary>What the user may set: language and terminal, nothing that changes how programs load (L20).</summary>
    public static bool MayBeSet(string name) => name is "LANG" or "LANGUAGE" or "TZ" or "COLORTERM" or "GIT_PROTOCOL" || name.StartsWith("LC_", StringComparison.Ordinal);

    // Another user is only possible for root (LocalUser.CanBeLoggedIn); setpriv drops every privilege before the program runs.
    private static string[] As(LocalUser user) => user.Uid == LocalUser.Current.Uid
        ? []
        : [s_setpriv.First(File.Exists), $"--reuid={user.Uid}", $"--regid={user.Gid}", "--init-groups", "--"];
}
