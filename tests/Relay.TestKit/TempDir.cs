namespace Relay.TestKit;

/// <summary>A folder of its own for one test, mode 0700, removed on dispose.</summary>
public sealed class TempDir : IDisposable
{
    /// <summary>Creates it under /tmp: paths of sockets must stay short.</summary>
    public TempDir(string prefix = "relay-test-") => Path = Directory.CreateTempSubdirectory(prefix).FullName;

    /// <summary>Absolute path.</summary>
    public string Path { get; }

    /// <summary>Path of a file in the folder.</summary>
    public string File(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Writes a text file that only its owner can read, as ssh wants its keys, and returns its path.</summary>
    public string Write(string name, string content)
    {
        var path = File(name);
        System.IO.File.WriteAllText(path, content);
        if (!OperatingSystem.IsWindows())
            System.IO.File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (IOException)
        {
            // A process that is just ending may still write here; the folder is in /tmp.
        }
    }
}
