namespace Relay.Protocol.Ssh;

/// <summary>The kinds of key that Relay makes itself.</summary>
public enum SshKeyKind
{
    /// <summary>ssh-ed25519.</summary>
    Ed25519,

    /// <summary>ecdsa-sha2-nistp256.</summary>
    EcdsaP256,

    /// <summary>ssh-rsa with a modulus of 3072 bits.</summary>
    Rsa3072,
}
