namespace Relay.Cli.Ssh;

/// <summary>
/// <c>relay client ssh [options] SOCKET [command …]</c>: as with ssh itself, everything after the socket is the remote
/// command, even when it starts with a dash. System.CommandLine would take such words for options of ours, so a "--"
/// is put after the socket.
/// </summary>
internal static class SshArguments
{
    private static readonly HashSet<string> s_takeValue = ["-l", "--login", "-L", "--forward", "-W", "--api", "--output", "-o"];

    public static string[] Separate(string[] args)
    {
        if (args is not ["client", "ssh", ..] || args.Contains("--"))
            return args;
        for (var i = 2; i < args.Length; i++)
        {
            if (s_takeValue.Contains(args[i]))
                i++;
            else if (!args[i].StartsWith('-'))
                return i + 1 == args.Length ? args : [.. args[..(i + 1)], "--", .. args[(i + 1)..]];
        }
        return args;
    }
}
