using System.Runtime.InteropServices;

namespace Relay.Cli.Ssh;

/// <summary>
/// Hands over to the system's ssh: this process becomes it, so signals, terminal and exit status are exactly ssh's.
/// </summary>
internal static partial class SystemSsh
{
    /// <summary>Does not return when it works.</summary>
    /// <exception cref="CliException">There is no ssh on the PATH, or it cannot be executed.</exception>
    public static int Become(IEnumerable<string> arguments)
    {
        var ssh = Find() ?? throw new CliException(ExitCode.Error, "no ssh on the PATH. Install the OpenSSH client, for example: apt-get install openssh-client");
        string?[] argv = ["ssh", .. arguments, null];
        Execv(ssh, argv);
        throw new CliException(ExitCode.Error, $"cannot execute {ssh}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");
    }

    private static string? Find() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, "ssh")).FirstOrDefault(File.Exists);

    [LibraryImport("libc", EntryPoint = "execv", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Execv(string path, string?[] argv);
}
