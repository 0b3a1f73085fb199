using System.Collections.Immutable;

namespace Relay.Protocol.Ssh;

/// <summary>Names of the algorithms this implementation speaks, in order of preference.</summary>
internal static class SshAlgorithmNames
{
    public const string StrictClient = "kex-strict-c-v00@openssh.com";
    public const string StrictServer = "kex-strict-s-v00@openssh.com";
    public const string ExtInfoClient = "ext-info-c"; // RFC 8308 §2.1
    public const string None = "none";
    public const string CertificateSuffix = "-cert-v01@openssh.com";

    public static readonly ImmutableArray<string> KeyExchanges = [.. SshKeyExchange.Names];

    /// <summary>AES-GCM first: it is not open to Terrapin and is the fastest here.</summary>
    public static readonly ImmutableArray<string> Ciphers = [.. SshPacketCipher.Names];

    public static readonly ImmutableArray<string> Macs = [SshCipherNames.HmacSha256Etm];

    /// <summary>L17: no compression, hence no check after inflating that could be missing.</summary>
    public static readonly ImmutableArray<string> Compressions = [None];

    public static readonly ImmutableArray<string> Signatures =
        ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"];

    /// <summary>Host key algorithms a client accepts, certificates first.</summary>
    public static readonly ImmutableArray<string> HostKeys =
        [.. Signatures.Select(static name => name + CertificateSuffix), .. Signatures];

    /// <summary>Algorithms a server accepts from users, sent as server-sig-algs (RFC 8308 §3.1).</summary>
    public static readonly ImmutableArray<string> UserKeys =
        [.. Signatures, "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];

    /// <summary>True when the cipher needs no MAC of its own.</summary>
    public static bool IsAuthenticated(string cipher) => cipher is SshCipherNames.Aes128Gcm or SshCipherNames.Aes256Gcm or SshCipherNames.ChaCha20Poly1305;
}
