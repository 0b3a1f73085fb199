using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>Result of one key exchange: makes the ciphers of both directions. Wiped on dispose.</summary>
internal sealed class SshKeyEpoch(byte[] encodedSecret, byte[] exchangeHash, byte[] sessionId, SshAlgorithms algorithms) : IDisposable
{
    public SshAlgorithms Algorithms => algorithms;

    /// <summary>H of the first exchange of the connection.</summary>
    public byte[] SessionId => sessionId;

    /// <summary>Cipher from client to server (letters A, C, E) or from server to client (B, D, F), RFC 4253 §7.2.</summary>
    public SshPacketCipher CreateCipher(bool toServer, bool seal)
    {
        var cipher = toServer ? algorithms.CipherToServer : algorithms.CipherToClient;
        var mac = toServer ? algorithms.MacToServer : algorithms.MacToClient;
        if (!SshPacketCipher.TryGetLengths(cipher, mac, out var lengths))
            throw SshException.KeyExchange($"No such cipher: {cipher}.");
        var iv = Derive(toServer ? 'A' : 'B', lengths.IvBytes);
        var key = Derive(toServer ? 'C' : 'D', lengths.KeyBytes);
        var macKey = Derive(toServer ? 'E' : 'F', lengths.MacKeyBytes);
        try
        {
            return SshPacketCipher.Create(cipher, mac, key, iv, macKey, seal);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(iv);
            CryptographicOperations.ZeroMemory(key);
            CryptographicOperations.ZeroMemory(macKey);
        }
    }

    public void Dispose() => CryptographicOperations.ZeroMemory(encodedSecret);

    private byte[] Derive(char letter, int length)
        => SshExchangeHash.DeriveKey(encodedSecret, exchangeHash, letter, sessionId, length);
}
