namespace Relay.Silo.Storage;

/// <summary>Files and folders that only their owner may read: keys, tokens, the database.</summary>
internal static class PrivateFiles
{
    private const string LinuxOnly = "the silo runs on Linux";

    /// <summary>Makes the folder, if need be, and closes it to everyone else (0700).</summary>
    public static void CreateDirectory(string path)
    {
        Directory.CreateDirectory(path);
        if (OperatingSystem.IsWindows())
            throw new PlatformNotSupportedException(LinuxOnly);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Makes a silo's state folder when there is none: others may pass through it (the database's account has to), not look into it.</summary>
    public static void CreateStateDirectory(string path)
    {
        if (OperatingSystem.IsWindows())
            throw new PlatformNotSupportedException(LinuxOnly);
        if (!Directory.Exists(path))
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
    }

    /// <summary>Writes a 0600 file, replacing one that is there; a reader sees the old or the new text, never a part.</summary>
    public static async Task WriteAsync(string path, ReadOnlyMemory<byte> content, CancellationToken cancellationToken)
    {
        var draft = path + ".new";
        File.Delete(draft);
        await using (var file = OpenNew(draft))
        {
            await file.WriteAsync(content, cancellationToken);
            file.Flush(flushToDisk: true);
        }
        File.Move(draft, path, overwrite: true);
        SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }

    /// <summary>A file that was made, renamed or deleted in the folder stays so after a loss of power.</summary>
    /// <exception cref="IOException">It could not be synced.</exception>
    public static void SyncDirectory(string path)
    {
        var folder = Posix.Open(path, Posix.O_RDONLY_DIRECTORY_CLOEXEC);
        if (folder < 0)
            throw new IOException($"{path} cannot be opened (errno {System.Runtime.InteropServices.Marshal.GetLastPInvokeError()})");
        try
        {
            if (Posix.Sync(folder) != 0)
                throw new IOException($"{path} cannot be synced (errno {System.Runtime.InteropServices.Marshal.GetLastPInvokeError()})");
        }
        finally
        {
            _ = Posix.Close(folder);
        }
    }

    /// <summary>Creates a 0600 file and opens it for writing.</summary>
    /// <exception cref="IOException">The file exists.</exception>
    public static FileStream OpenNew(string path)
    {
        if (OperatingSystem.IsWindows())
            throw new PlatformNotSupportedException(LinuxOnly);
        return new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            Share = FileShare.None,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
    }

    /// <summary>True when others than the owner may read or change the file.</summary>
    public static bool IsOpenToOthers(string path)
    {
        if (OperatingSystem.IsWindows())
            throw new PlatformNotSupportedException(LinuxOnly);
        const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;
        return (File.GetUnixFileMode(path) & Others) != 0;
    }
}
