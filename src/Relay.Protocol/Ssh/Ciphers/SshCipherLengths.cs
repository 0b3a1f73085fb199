namespace Relay.Protocol.Ssh;

/// <summary>How many bytes of key material one direction of a cipher takes (RFC 4253 §7.2).</summary>
/// <param name="KeyBytes">Encryption key.</param>
/// <param name="IvBytes">Initial IV; zero when the cipher makes its own from the sequence number.</param>
/// <param name="MacKeyBytes">Integrity key; zero when the cipher authenticates itself.</param>
internal readonly record struct SshCipherLengths(int KeyBytes, int IvBytes, int MacKeyBytes);
