namespace Relay.Protocol.Ssh;

/// <summary>
/// A public key algorithm name as it stands in KEXINIT, USERAUTH_REQUEST and server-sig-algs, taken apart: for RSA the
/// name says the signature hash while the key's blob says <c>ssh-rsa</c> (RFC 8332 §3).
/// </summary>
/// <param name="Name">Name on the wire.</param>
/// <param name="Signature">Signature algorithm without the certificate suffix.</param>
/// <param name="BlobType">First string inside the key or certificate blob.</param>
/// <param name="IsCertificate">True for the -cert-v01@openssh.com forms.</param>
internal readonly record struct SshKeyAlgorithm(string Name, string Signature, string BlobType, bool IsCertificate)
{
    /// <summary>Never fails: an unknown name simply matches no key.</summary>
    public static SshKeyAlgorithm Of(string name)
    {
        var certificate = name.EndsWith(SshAlgorithmNames.CertificateSuffix, StringComparison.Ordinal);
        var signature = certificate ? name[..^SshAlgorithmNames.CertificateSuffix.Length] : name;
        var type = signature is "rsa-sha2-256" or "rsa-sha2-512" ? "ssh-rsa" : signature;
        return new(name, signature, certificate ? type + SshAlgorithmNames.CertificateSuffix : type, certificate);
    }
}
