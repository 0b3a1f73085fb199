using System.Runtime.InteropServices;

namespace Relay.Connector.BuiltInSsh;

/// <summary>A user of this machine, as its name service knows them.</summary>
internal sealed record LocalUser(string Name, uint Uid, uint Gid, string Home, string Shell)
{
    private const int BufferBytes = 16 * 1024;

    /// <summary>Whom the connector runs as.</summary>
    public static LocalUser Current { get; } = Find(Posix.EffectiveUser()) ?? throw new InvalidOperationException("The connector's own user is not in the user database.");

    /// <summary>Null: no such user. A number is a name like any other, never a uid (L20).</summary>
    public static unsafe LocalUser? Find(string name)
    {
        if (name.Length is 0 or > 256 || name.Contains('\0'))
            return null;
        var buffer = stackalloc byte[BufferBytes];
        Posix.PasswordEntry entry;
        Posix.PasswordEntry* result;
        return Posix.FindUser(name, &entry, buffer, BufferBytes, &result) == 0 && result is not null ? From(entry) : null;
    }

    /// <summary>True when the connector may start programs as this user: it is the same one, or the connector is root.</summary>
    public bool CanBeLoggedIn => Uid == Current.Uid || Current.Uid == 0;

    private static unsafe LocalUser? Find(uint uid)
    {
        var buffer = stackalloc byte[BufferBytes];
        Posix.PasswordEntry entry;
        Posix.PasswordEntry* result;
        return Posix.FindUser(uid, &entry, buffer, BufferBytes, &result) == 0 && result is not null ? From(entry) : null;
    }

    private static unsafe LocalUser From(in Posix.PasswordEntry entry)
    {
        var shell = Marshal.PtrToStringUTF8((nint)entry.Shell);
        return new LocalUser(
            Marshal.PtrToStringUTF8((nint)entry.Name)!,
            entry.User,
            entry.Group,
            Marshal.PtrToStringUTF8((nint)entry.Home) ?? "/",
            string.IsNullOrEmpty(shell) ? "/bin/sh" : shell);
    }
}
