// What: seals values before they are stored; AES-256-GCM under the master key.
// References: NIST SP 800-38D; README.md.
// Parameters: sealed = version (1 byte, 1) | key id (4) | nonce (12, random) | ciphertext | tag (16).
//   Associated data = the version and key id, then "table/column/row" in UTF-8, so a value moved to another row does not open.
//   Random 96-bit nonces: 2^32 values per key before a repeat is worth a thought; a grid seals thousands.
// Failure: SecretException, whatever was wrong; which, is for the operator's log only.
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Relay.Silo.Secrets;

/// <summary>Seals and opens the secrets of the database. Safe for concurrent use.</summary>
internal sealed class SecretVault(MasterKey master)
{
    private const byte Version = 1;
    private const int KeyIdBytes = 4;
    private const int NonceBytes = 12;
    private const int TagBytes = 16;
    private const int HeaderBytes = 1 + KeyIdBytes;
    private const int Overhead = HeaderBytes + NonceBytes + TagBytes;

    /// <summary>Seals <paramref name="plaintext"/> for one place in the database.</summary>
    public byte[] Seal(SecretPlace place, ReadOnlySpan<byte> plaintext)
    {
        var result = new byte[Overhead + plaintext.Length];
        result[0] = Version;
        MasterKey.IdOf(master.Current).CopyTo(result.AsSpan(1));
        var nonce = result.AsSpan(HeaderBytes, NonceBytes);
        RandomNumberGenerator.Fill(nonce);
        using var cipher = new AesGcm(master.Current, TagBytes);
        cipher.Encrypt(nonce, plaintext, result.AsSpan(HeaderBytes + NonceBytes, plaintext.Length), result.AsSpan(result.Length - TagBytes), AssociatedData(result, place));
        return result;
    }

    /// <summary>Opens what <see cref="Seal"/> made for the same place. The caller wipes the result when it is a key.</summary>
    /// <exception cref="SecretException">Sealed under a key that is not ours, changed, or moved from another place.</exception>
    public byte[] Open(SecretPlace place, ReadOnlySpan<byte> value)
    {
        if (value.Length < Overhead || value[0] != Version)
            throw new SecretException(place, "it is not a sealed value of a known version");
        if (!master.TryFind(value.Slice(1, KeyIdBytes), out var key))
            throw new SecretException(place, "the master key file does not hold the key it was sealed under");
        var plaintext = new byte[value.Length - Overhead];
        using var cipher = new AesGcm(key, TagBytes);
        try
        {
            cipher.Decrypt(value.Slice(HeaderBytes, NonceBytes), value[(HeaderBytes + NonceBytes)..^TagBytes], value[^TagBytes..], plaintext, AssociatedData(value, place));
        }
        catch (AuthenticationTagMismatchException)
        {
            throw new SecretException(place, "it was changed, or belongs elsewhere");
        }
        return plaintext;
    }

    /// <summary>Seals a socket's stored password and key; null when there is neither.</summary>
    public byte[]? SealSocket(Guid socketId, SocketSecrets secrets)
    {
        if (secrets is { Password: null, PrivateKey: null })
            return null;
        var json = JsonSerializer.SerializeToUtf8Bytes(secrets, SecretsJson.Default.SocketSecrets);
        var value = Seal(SecretPlace.SocketSecrets(socketId), json);
        CryptographicOperations.ZeroMemory(json);
        return value;
    }

    /// <summary>Opens socket.upstream_secrets; null: nothing stored.</summary>
    /// <exception cref="SecretException">As <see cref="Open"/>.</exception>
    public SocketSecrets OpenSocket(Guid socketId, byte[]? value)
    {
        if (value is null)
            return new SocketSecrets(null, null);
        var json = Open(SecretPlace.SocketSecrets(socketId), value);
        var secrets = JsonSerializer.Deserialize(json, SecretsJson.Default.SocketSecrets);
        CryptographicOperations.ZeroMemory(json);
        return secrets ?? new SocketSecrets(null, null);
    }

    private static byte[] AssociatedData(ReadOnlySpan<byte> header, SecretPlace place)
    {
        var text = place.ToString();
        var data = new byte[HeaderBytes + Encoding.UTF8.GetByteCount(text)];
        header[..HeaderBytes].CopyTo(data);
        Encoding.UTF8.GetBytes(text, data.AsSpan(HeaderBytes));
        return data;
    }
}

/// <summary>Where a sealed value lives; part of what is authenticated.</summary>
internal readonly record struct SecretPlace(string Table, string Column, string Row)
{
    public static SecretPlace SocketSecrets(Guid socketId) => new("socket", "upstream_secrets", socketId.ToString("D"));

    public static SecretPlace Grid(string column, Guid gridId) => new("grid", column, gridId.ToString("D"));

    public static SecretPlace Organization(string column, Guid organizationId) => new("organization", column, organizationId.ToString("D"));

    public static SecretPlace DevicePresharedKey(Guid deviceId) => new("device", "preshared_key", deviceId.ToString("D"));

    /// <summary>Key of a recording's chunks.</summary>
    public static SecretPlace RecordingKey(Guid sessionId, int recordingNo) => new("recording", "sealed_key", $"{sessionId:D}.{recordingNo}");

    public override string ToString() => $"{Table}/{Column}/{Row}";
}

/// <summary>What a socket stores to log in to its target. SECURITY: never leaves the silo but to a gateway that opens a granted session.</summary>
internal sealed record SocketSecrets(string? Password, string? PrivateKey)
{
    // A record prints its members; these must not end up in a log.
    public override string ToString() => nameof(SocketSecrets);
}

/// <summary>A sealed value does not open; the message names the place, never the content.</summary>
internal sealed class SecretException(SecretPlace place, string reason) : Exception($"the secret {place} does not open: {reason}");

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(SocketSecrets))]
internal sealed partial class SecretsJson : JsonSerializerContext;
