namespace Relay.Gateway.Recording;

/// <summary>One operation a client asked an SFTP server for.</summary>
/// <param name="Name">"open", "remove", "rename", "mkdir", "rmdir", "setstat", "symlink", "opendir", or the extension's own name.</param>
/// <param name="Path">First path; not valid UTF-8 shows as U+FFFD; cut at <see cref="SftpWatcher.MaxPathBytes"/>. Empty when the request names a handle only.</param>
/// <param name="Target">Second path of rename, symlink and the like; null otherwise.</param>
/// <param name="Flags">For open: "read,write,append,create,truncate,exclusive" as set; null otherwise.</param>
internal readonly record struct SftpOperation(string Name, string Path, string? Target, string? Flags);
