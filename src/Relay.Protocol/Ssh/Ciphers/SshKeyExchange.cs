namespace Relay.Protocol.Ssh;

// What: one side's ephemeral key of a key exchange and the secret agreed with it.
// References: RFC 8731 (curve25519-sha256), RFC 5656 §4 (ecdh-sha2-nistp256). Both hash with SHA-256.
// Parameters: public values travel as string (Q_C, Q_S); the secret K goes into hashes as mpint, from big-endian bytes.
// Failure: a peer's value of the wrong size, off the curve, or leading to an all-zero secret is "false".

/// <summary>An ephemeral key, for one exchange only. Not thread-safe. Caller disposes, which wipes the secret.</summary>
internal abstract class SshKeyExchange : IDisposable
{
    public const string Curve25519 = "curve25519-sha256", Curve25519Old = "curve25519-sha256@libssh.org", EcdhP256 = "ecdh-sha2-nistp256";

    /// <summary>The methods in the order in which they are to be offered.</summary>
    public static IReadOnlyList<string> Names { get; } = [Curve25519, Curve25519Old, EcdhP256];

    /// <summary>The own public value, as it goes into the message: 32 bytes, or the 65 bytes of an uncompressed point.</summary>
    public abstract ReadOnlyMemory<byte> PublicValue { get; }

    /// <summary>A fresh key for the named method.</summary>
    /// <exception cref="ArgumentException">The name is none of <see cref="Names"/>.</exception>
    public static SshKeyExchange Create(string name) => name switch
    {
        Curve25519 or Curve25519Old => new Curve25519KeyExchange(),
        EcdhP256 => new EcdhKeyExchange(),
        _ => throw new ArgumentException($"Unknown key exchange method {name}.", nameof(name)),
    };

    /// <summary>
    /// Agrees on the secret with the peer's public value. <paramref name="sharedSecret"/> is K encoded as mpint, length
    /// included, ready to be hashed; the caller wipes it. False (and empty): the peer's value is refused; disconnect.
    /// </summary>
    public bool TryDerive(ReadOnlySpan<byte> peerPublicValue, out byte[] sharedSecret)
    {
        Span<byte> secret = stackalloc byte[32]; // both methods agree on 256 bits
        sharedSecret = [];
        if (!TryAgree(peerPublicValue, secret)) return false;
        using var writer = new SshWriter(64);
        writer.WriteMpint(secret); // big-endian also for X25519: RFC 8731 §3.1
        sharedSecret = writer.ToArray();
        System.Security.Cryptography.CryptographicOperations.ZeroMemory(secret);
        return true;
    }

    public abstract void Dispose();

    /// <summary>Writes the 32 bytes of the secret; false when the peer's value is refused.</summary>
    protected abstract bool TryAgree(ReadOnlySpan<byte> peer, Span<byte> secret);
}
