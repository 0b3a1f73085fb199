namespace Relay.Protocol.Ssh;

/// <summary>What a server proved to hold in the key exchange.</summary>
/// <param name="Key">The host's public key; with a certificate, the certified key.</param>
/// <param name="Certificate">Null when the server showed a plain key. Its signature, dates and principals are NOT checked yet.</param>
public sealed record SshHostKey(SshPublicKey Key, SshCertificate? Certificate);
