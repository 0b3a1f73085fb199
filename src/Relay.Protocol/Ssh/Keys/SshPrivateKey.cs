using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.Ssh;

/// <summary>
/// A plain private key: Ed25519, ECDSA or RSA. Safe for concurrent use. Caller disposes, which wipes the key. Its text
/// forms (PEM in, PEM out) are strings and cannot be wiped: keep them short-lived.
/// </summary>
public sealed class SshPrivateKey : IDisposable
{
    private readonly SshKeyMaterial _material;

    internal SshPrivateKey(SshKeyMaterial material) => _material = material;

    /// <summary>The public half.</summary>
    public SshPublicKey PublicKey => _material.PublicKey;

    /// <summary>A new key of this kind from the system's random number generator. RSA takes up to a second.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The kind is none of the enumeration.</exception>
    public static SshPrivateKey Generate(SshKeyKind kind) => new(kind switch
    {
        SshKeyKind.Ed25519 => new Ed25519KeyMaterial(Ed25519PrivateKey.Generate()),
        SshKeyKind.EcdsaP256 => new EcdsaKeyMaterial(EcdsaCurve.P256, ECDsa.Create(ECCurve.NamedCurves.nistP256)),
        SshKeyKind.Rsa3072 => new RsaKeyMaterial(RSA.Create(3072)),
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    });

    /// <summary>
    /// Reads the first private key of a PEM text: OPENSSH PRIVATE KEY, PRIVATE KEY (PKCS#8), RSA PRIVATE KEY (PKCS#1),
    /// EC PRIVATE KEY (SEC 1). False with the reason, which never quotes the text; a key under a passphrase is refused
    /// with a sentence of its own. A key whose halves do not belong together is refused.
    /// </summary>
    public static bool TryImport(string pem, [NotNullWhen(true)] out SshPrivateKey? key, [NotNullWhen(false)] out string? error)
    {
        key = SshPrivateKeyImport.TryRead(pem, out SshKeyMaterial? material, out error) ? new SshPrivateKey(material) : null;
        return key is not null;
    }

    /// <summary>
    /// Signs <paramref name="data"/> and returns the whole signature blob: string algorithm, string signature
    /// (RFC 4253 §6.6). The algorithm is one of the public key's <see cref="SshPublicKey.SignatureAlgorithms"/>.
    /// </summary>
    /// <exception cref="ArgumentException">The algorithm is not one of this key's.</exception>
    public byte[] Sign(string signatureAlgorithm, ReadOnlySpan<byte> data)
    {
        if (!PublicKey.SignatureAlgorithms.Contains(signatureAlgorithm))
            throw new ArgumentException($"A key of type {PublicKey.KeyType} cannot sign with {signatureAlgorithm}.", nameof(signatureAlgorithm));
        using var writer = new SshWriter(512);
        writer.WriteString(signatureAlgorithm);
        writer.WriteString(_material.Sign(signatureAlgorithm, data));
        return writer.ToArray();
    }

    /// <summary>The key as an unencrypted OPENSSH PRIVATE KEY file (OpenSSH PROTOCOL.key), ending with a line break.</summary>
    public string ExportOpenSsh(string comment) => OpenSshPrivateKeyFormat.Write(_material, comment);

    /// <summary>Wipes and frees the key.</summary>
    public void Dispose() => _material.Dispose();
}
