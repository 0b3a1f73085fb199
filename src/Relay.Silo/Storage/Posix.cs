using System.Runtime.InteropServices;

namespace Relay.Silo.Storage;

/// <summary>What .NET has no call for: a folder is synced by its descriptor. Both return -1 on failure.</summary>
internal static partial class Posix
{
    public const int O_RDONLY_DIRECTORY_CLOEXEC = 0x10000 | 0x80000;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static partial int Sync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    public static partial int Close(int descriptor);
}
