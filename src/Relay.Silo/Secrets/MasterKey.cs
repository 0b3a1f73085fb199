using System.Security.Cryptography;
using System.Text;
using Relay.Silo.Storage;

namespace Relay.Silo.Secrets;

/// <summary>
/// The key that seals everything secret in the database (README.md). Immutable; safe for concurrent use.
/// The file has one base64 line per key of 32 bytes: the first seals, all open, so that a key can be rotated.
/// </summary>
internal sealed class MasterKey
{
    /// <summary>AES-256.</summary>
    public const int KeyBytes = 32;

    private readonly byte[][] _keys;

    private MasterKey(byte[][] keys) => _keys = keys;

    /// <summary>The key that seals.</summary>
    internal ReadOnlySpan<byte> Current => _keys[0];

    /// <summary>Reads the key file, or makes it (0600) when there is none.</summary>
    /// <param name="mayCreate">False when the database already holds sealed values, which a new key could not open.</param>
    /// <exception cref="StorageException">The file is missing, malformed or open to others; the message names it and says what to do.</exception>
    public static async Task<MasterKey> LoadAsync(string path, bool mayCreate, CancellationToken cancellationToken)
    {
        if (!File.Exists(path))
        {
            if (!mayCreate)
                throw new StorageException($"the master key file {path} does not exist, and the database was set up with one: restore it, or name the right file with RELAY_MASTER_KEY_FILE");
            await CreateAsync(path, cancellationToken);
        }
        if (PrivateFiles.IsOpenToOthers(path))
            throw new StorageException($"the master key file {path} can be read by others: run `chmod 600 {path}`");
        var lines = (await File.ReadAllLinesAsync(path, cancellationToken)).Select(l => l.Trim()).Where(l => l.Length > 0).ToArray();
        var keys = Array.ConvertAll(lines, Decode);
        if (keys.Length == 0 || Array.Exists(keys, k => k is null))
            throw new StorageException($"the master key file {path} must have one key per line: 32 bytes in base64");
        return new MasterKey(keys!);
    }

    /// <summary>A key for tests and tools.</summary>
    internal static MasterKey FromBytes(params byte[][] keys) => new(keys);

    /// <summary>Four bytes that tell keys apart; they say nothing about the key.</summary>
    internal static byte[] IdOf(ReadOnlySpan<byte> key)
    {
        var input = new byte[KeyBytes + 16];
        Encoding.ASCII.GetBytes("relay key id v1 ", input);
        key.CopyTo(input.AsSpan(16));
        var id = SHA256.HashData(input)[..4];
        CryptographicOperations.ZeroMemory(input);
        return id;
    }

    /// <summary>The key with that id; false: sealed under a key that is not in the file.</summary>
    internal bool TryFind(ReadOnlySpan<byte> id, out ReadOnlySpan<byte> key)
    {
        foreach (var candidate in _keys)
        {
            if (IdOf(candidate).AsSpan().SequenceEqual(id))
            {
                key = candidate;
                return true;
            }
        }
        key = default;
        return false;
    }

    private static byte[]? Decode(string line)
    {
        var key = new byte[KeyBytes];
        return Convert.TryFromBase64String(line, key, out var length) && length == KeyBytes ? key : null;
    }

    // Two silos may share the file's folder: whoever comes first wins, the other reads what it wrote.
    private static async Task CreateAsync(string path, CancellationToken cancellationToken)
    {
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } directory && !Directory.Exists(directory))
            Directory.CreateDirectory(directory);
        var draft = $"{path}.{Guid.NewGuid():N}";
        await PrivateFiles.WriteAsync(draft, Encoding.ASCII.GetBytes(Convert.ToBase64String(RandomNumberGenerator.GetBytes(KeyBytes)) + "\n"), cancellationToken);
        try
        {
            File.Move(draft, path, overwrite: false);
        }
        catch (IOException) when (File.Exists(path))
        {
            File.Delete(draft);
        }
    }
}
