namespace Relay.Protocol.Ssh;

/// <summary>What a certificate is for; the numbers of OpenSSH PROTOCOL.certkeys. Zero is none.</summary>
public enum SshCertificateKind
{
    /// <summary>SSH_CERT_TYPE_USER: proves a user to a server.</summary>
    User = 1,

    /// <summary>SSH_CERT_TYPE_HOST: proves a server to a user.</summary>
    Host = 2,
}
