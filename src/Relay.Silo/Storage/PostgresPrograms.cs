using System.Diagnostics;
using System.Globalization;

namespace Relay.Silo.Storage;

/// <summary>Where the distribution keeps PostgreSQL's programs, and how to run them as an unprivileged user.</summary>
/// <param name="Directory">Folder that holds initdb and postgres.</param>
/// <param name="User">Account to run as; null: the caller's own, which is not root.</param>
internal sealed record PostgresPrograms(string Directory, string? User)
{
    // Debian's package makes the first; the second is everywhere.
    private static readonly string[] Accounts = ["postgres", "nobody"];

    /// <summary>Finds the newest installed version.</summary>
    /// <exception cref="StorageException">PostgreSQL is not installed, or root has no account to run it as.</exception>
    public static PostgresPrograms Find()
    {
        var directory = Candidates().FirstOrDefault(d => File.Exists(Path.Combine(d, "initdb")) && File.Exists(Path.Combine(d, "postgres")))
            ?? throw new StorageException("PostgreSQL is not installed: run `apt-get install -y postgresql`, or set RELAY_DATABASE to an existing database");
        if (!Environment.IsPrivilegedProcess)
            return new PostgresPrograms(directory, null);
        var accounts = File.Exists("/etc/passwd") ? File.ReadAllLines("/etc/passwd") : [];
        var user = Accounts.FirstOrDefault(u => accounts.Any(a => a.StartsWith(u + ":", StringComparison.Ordinal)))
            ?? throw new StorageException("PostgreSQL does not run as root and there is no account postgres or nobody: set RELAY_DATABASE to an existing database");
        return new PostgresPrograms(directory, user);
    }

    /// <summary>Start information of one program as <see cref="User"/>, with a neutral working folder.</summary>
    public ProcessStartInfo Command(string program, IEnumerable<string> arguments)
    {
        var path = Path.Combine(Directory, program);
        var start = new ProcessStartInfo(User is null ? path : "setpriv") { WorkingDirectory = "/" };
        if (User is not null)
        {
            foreach (var argument in new[] { $"--reuid={User}", $"--regid={PrimaryGroup(User)}", "--clear-groups", path })
                start.ArgumentList.Add(argument);
        }
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return start;
    }

    /// <summary>Makes the folders, private to <see cref="User"/>.</summary>
    /// <exception cref="StorageException">The account cannot reach the folder, because a parent is closed to it.</exception>
    public void GiveTo(string directory, string sockets)
    {
        PrivateFiles.CreateDirectory(directory);
        PrivateFiles.CreateDirectory(sockets);
        if (User is null)
            return;
        Run("chown", $"{User}:", directory, sockets);
        using var probe = Process.Start(Probe("test", "-x", directory)) ?? throw new StorageException("cannot start setpriv");
        probe.WaitForExit();
        if (probe.ExitCode != 0)
            throw new StorageException($"the account {User}, which runs the private PostgreSQL, cannot reach {directory}: a parent folder is closed to it; choose another RELAY_STATE_DIR");
    }

    private ProcessStartInfo Probe(params string[] command)
    {
        var start = new ProcessStartInfo("setpriv") { WorkingDirectory = "/" };
        foreach (var argument in new[] { $"--reuid={User}", $"--regid={PrimaryGroup(User!)}", "--clear-groups" }.Concat(command))
            start.ArgumentList.Add(argument);
        return start;
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new StorageException($"{program} {string.Join(' ', arguments)} failed with code {process.ExitCode}");
    }

    private static string PrimaryGroup(string user) =>
        File.ReadLines("/etc/passwd").First(l => l.StartsWith(user + ":", StringComparison.Ordinal)).Split(':')[3];

    private static IEnumerable<string> Candidates()
    {
        const string Debian = "/usr/lib/postgresql";
        var versions = System.IO.Directory.Exists(Debian)
            ? System.IO.Directory.GetDirectories(Debian)
                .OrderByDescending(d => int.TryParse(Path.GetFileName(d), CultureInfo.InvariantCulture, out var v) ? v : 0)
                .Select(d => Path.Combine(d, "bin"))
            : [];
        return versions.Concat(["/usr/pgsql/bin", "/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"]);
    }
}
