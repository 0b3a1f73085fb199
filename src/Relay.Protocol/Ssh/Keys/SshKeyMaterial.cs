namespace Relay.Protocol.Ssh;

/// <summary>The secret of one kind of key and what can be done with it. Safe for concurrent use. Wiped on dispose.</summary>
internal abstract class SshKeyMaterial : IDisposable
{
    /// <summary>The public half.</summary>
    public abstract SshPublicKey PublicKey { get; }

    /// <summary>The signature proper, without the framing; the algorithm has been checked to be this key's.</summary>
    public abstract byte[] Sign(string algorithm, ReadOnlySpan<byte> data);

    /// <summary>Writes the fields that follow the key type in OpenSSH's private key file (PROTOCOL.key, as ssh-agent's ADD_IDENTITY).</summary>
    public abstract void WriteFields(SshWriter writer);

    public abstract void Dispose();

    /// <summary>Whether public and private half belong together: a signature made with one is checked with the other.</summary>
    public bool IsConsistent()
    {
        ReadOnlySpan<byte> probe = "do the halves belong together"u8;
        string algorithm = PublicKey.SignatureAlgorithms[0];
        using var signature = new SshWriter();
        signature.WriteString(algorithm);
        signature.WriteString(Sign(algorithm, probe));
        return PublicKey.Verify(algorithm, probe, signature.WrittenSpan);
    }
}
