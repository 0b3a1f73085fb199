using System.Security.Cryptography;

namespace Relay.Gateway.WireGuard;

/// <summary>The gateway's static private key in a file of its own: base64, as <c>wg genkey</c> writes it, readable by its owner only.</summary>
internal static class WireGuardKeyFile
{
    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite;

    /// <summary>Reads the key, or makes one.</summary>
    /// <returns>32 bytes, pinned; the caller wipes them.</returns>
    /// <exception cref="WireGuardUnavailableException">The file is not a key, or others may read it.</exception>
    public static byte[] LoadOrCreate(string path)
    {
        var key = GC.AllocateArray<byte>(32, pinned: true);
        try
        {
            if (File.Exists(path))
            {
                if ((File.GetUnixFileMode(path) & Others) != 0)
                    throw new WireGuardUnavailableException($"{path} holds the private key and is open to others: chmod 600.");
                if (!Convert.TryFromBase64Chars(File.ReadAllText(path).AsSpan().Trim(), key, out int length) || length != key.Length)
                    throw new WireGuardUnavailableException($"{path} is not a private key: 44 characters of base64.");
                return key;
            }

            RandomNumberGenerator.Fill(key);
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
            file.Write(System.Text.Encoding.ASCII.GetBytes(Convert.ToBase64String(key) + "\n"));
            file.Flush(flushToDisk: true);
            return key;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new WireGuardUnavailableException($"the private key can not be kept in {path}: {e.Message}");
        }
    }
}
