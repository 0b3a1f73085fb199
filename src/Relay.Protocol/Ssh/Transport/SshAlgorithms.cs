namespace Relay.Protocol.Ssh;

/// <summary>What the last key exchange agreed on, in the names of the RFCs.</summary>
/// <param name="KeyExchange">Key exchange method.</param>
/// <param name="HostKey">Signature algorithm of the server's host key, certificate forms included.</param>
/// <param name="CipherToServer">Encryption from client to server.</param>
/// <param name="CipherToClient">Encryption from server to client.</param>
/// <param name="MacToServer">Null when the cipher authenticates by itself.</param>
/// <param name="MacToClient">Null when the cipher authenticates by itself.</param>
/// <param name="StrictKeyExchange">True when both sides announced strict key exchange (Terrapin, L3).</param>
public sealed record SshAlgorithms(
    string KeyExchange,
    string HostKey,
    string CipherToServer,
    string CipherToClient,
    string? MacToServer,
    string? MacToClient,
    bool StrictKeyExchange);
