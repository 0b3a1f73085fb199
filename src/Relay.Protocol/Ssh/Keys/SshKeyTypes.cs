namespace Relay.Protocol.Ssh;

/// <summary>The names of key types, signature algorithms and certificate types that Relay knows.</summary>
public static class SshKeyTypes
{
    /// <summary>RFC 8709.</summary>
    public const string Ed25519 = "ssh-ed25519";

    /// <summary>RFC 5656 §3, curve P-256.</summary>
    public const string EcdsaP256 = "ecdsa-sha2-nistp256";

    /// <summary>RFC 5656 §3, curve P-384.</summary>
    public const string EcdsaP384 = "ecdsa-sha2-nistp384";

    /// <summary>RFC 5656 §3, curve P-521.</summary>
    public const string EcdsaP521 = "ecdsa-sha2-nistp521";

    /// <summary>The type of every RSA key, RFC 4253 §6.6. As a signature algorithm it means SHA-1 and is refused everywhere.</summary>
    public const string Rsa = "ssh-rsa";

    /// <summary>Signature algorithm of RSA keys, RFC 8332.</summary>
    public const string RsaSha256 = "rsa-sha2-256";

    /// <summary>Signature algorithm of RSA keys, RFC 8332.</summary>
    public const string RsaSha512 = "rsa-sha2-512";

    /// <summary>FIDO key, OpenSSH PROTOCOL.u2f.</summary>
    public const string SkEd25519 = "sk-ssh-ed25519@openssh.com";

    /// <summary>FIDO key, OpenSSH PROTOCOL.u2f.</summary>
    public const string SkEcdsaP256 = "sk-ecdsa-sha2-nistp256@openssh.com";

    private const string CertificateSuffix = "-cert-v01@openssh.com";

    /// <summary>
    /// The public key algorithms accepted from a peer that proves itself with a plain key, best first: the value of
    /// <c>server-sig-algs</c> (RFC 8308 §3.1) without the certificate forms.
    /// </summary>
    public static IReadOnlyList<string> SignatureAlgorithms { get; } =
        [Ed25519, EcdsaP256, EcdsaP384, EcdsaP521, RsaSha512, RsaSha256, SkEd25519, SkEcdsaP256];

    /// <summary>The certificate forms of <see cref="SignatureAlgorithms"/>, in the same order.</summary>
    public static IReadOnlyList<string> CertificateAlgorithms { get; } = [.. SignatureAlgorithms.Select(ToCertificate)];

    /// <summary>True for a name that ends the way OpenSSH PROTOCOL.certkeys names certificate types and algorithms.</summary>
    public static bool IsCertificate(string name) => name.EndsWith(CertificateSuffix, StringComparison.Ordinal);

    /// <summary>
    /// The plain name behind a certificate type or algorithm: <c>rsa-sha2-512-cert-v01@openssh.com</c> gives
    /// <c>rsa-sha2-512</c>, <c>sk-ssh-ed25519-cert-v01@openssh.com</c> gives <c>sk-ssh-ed25519@openssh.com</c>. A plain
    /// name is returned as it is.
    /// </summary>
    public static string ToPlain(string name)
    {
        if (!IsCertificate(name)) return name;
        string plain = name[..^CertificateSuffix.Length];
        return plain.StartsWith("sk-", StringComparison.Ordinal) ? plain + "@openssh.com" : plain;
    }

    /// <summary>The certificate form of a plain key type or signature algorithm; the inverse of <see cref="ToPlain"/>.</summary>
    public static string ToCertificate(string name)
    {
        int at = name.IndexOf('@', StringComparison.Ordinal);
        return (at < 0 ? name : name[..at]) + CertificateSuffix;
    }
}
