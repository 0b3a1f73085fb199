using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>
/// Exchange hash and key derivation. References: RFC 5656 §4 (H), RFC 4253 §7.2 (keys), RFC 8731 §3. All methods here
/// hash with SHA-256.
/// </summary>
internal static class SshExchangeHash
{
    /// <summary>H = HASH(V_C || V_S || I_C || I_S || K_S || Q_C || Q_S || K), 32 bytes.</summary>
    public static byte[] Compute(
        string clientVersion,
        string serverVersion,
        ReadOnlySpan<byte> clientInit,
        ReadOnlySpan<byte> serverInit,
        ReadOnlySpan<byte> hostKey,
        ReadOnlySpan<byte> clientPublic,
        ReadOnlySpan<byte> serverPublic,
        ReadOnlySpan<byte> encodedSecret)
    {
        using var writer = new SshWriter(4096);
        writer.WriteString(clientVersion);
        writer.WriteString(serverVersion);
        writer.WriteString(clientInit);
        writer.WriteString(serverInit);
        writer.WriteString(hostKey);
        writer.WriteString(clientPublic);
        writer.WriteString(serverPublic);
        writer.WriteBytes(encodedSecret);
        return SHA256.HashData(writer.WrittenSpan);
    }

    /// <summary>
    /// HASH(K || H || letter || session_id), extended with HASH(K || H || K1 || …) as long as needed, RFC 4253 §7.2.
    /// </summary>
    /// <param name="encodedSecret">K with its length, as mpint.</param>
    /// <param name="exchangeHash">H of this exchange.</param>
    /// <param name="letter">'A' to 'F'.</param>
    /// <param name="sessionId">H of the first exchange.</param>
    /// <param name="length">Bytes wanted.</param>
    public static byte[] DeriveKey(
        ReadOnlySpan<byte> encodedSecret,
        ReadOnlySpan<byte> exchangeHash,
        char letter,
        ReadOnlySpan<byte> sessionId,
        int length)
    {
        var key = new byte[length];
        if (length == 0)
            return key;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> block = stackalloc byte[SHA256.HashSizeInBytes];
        var done = 0;
        while (done < length)
        {
            hash.AppendData(encodedSecret);
            hash.AppendData(exchangeHash);
            if (done == 0)
            {
                hash.AppendData([(byte)letter]);
                hash.AppendData(sessionId);
            }
            else
            {
                hash.AppendData(key.AsSpan(0, done));
            }

            hash.GetHashAndReset(block);
            var take = Math.Min(block.Length, length - done);
            block[..take].CopyTo(key.AsSpan(done));
            done += take;
        }

        CryptographicOperations.ZeroMemory(block);
        return key;
    }
}
