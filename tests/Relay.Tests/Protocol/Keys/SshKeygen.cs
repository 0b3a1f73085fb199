using System.Diagnostics;

namespace Relay.Tests.Protocol.Keys;

/// <summary>OpenSSH's ssh-keygen in a directory of its own; the peer of every format test.</summary>
internal sealed class SshKeygen : IDisposable
{
    public SshKeygen() => Folder = Directory.CreateTempSubdirectory("relay-keys-").FullName;

    public string Folder { get; }

    public string PathOf(string name) => Path.Combine(Folder, name);

    public string Read(string name) => File.ReadAllText(PathOf(name));

    /// <summary>Writes a file as a private key must be kept: readable by its owner only.</summary>
    public string Write(string name, string text)
    {
        string path = PathOf(name);
        File.WriteAllText(path, text);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    /// <summary>Makes a key pair without passphrase and returns the private file's text.</summary>
    public string Generate(string name, params string[] type)
    {
        Run(["-q", "-N", "", "-C", "made by ssh-keygen", "-f", PathOf(name), .. type]);
        return Read(name);
    }

    public string Run(params string[] arguments) => RunProgram("ssh-keygen", null, arguments);

    /// <summary>Runs a program to its end; its standard output. The test fails with both outputs when it reports failure.</summary>
    public string RunProgram(string program, string? input, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = Folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["TZ"] = "UTC";
        start.Environment["LC_ALL"] = "C";
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {process.ExitCode}\n{output}{error.Result}");
        return output;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
