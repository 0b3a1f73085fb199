namespace Relay.Protocol.Ssh;

/// <summary>What the parser found, handed to the certificate's constructor. See <see cref="SshCertificate"/> for the meanings.</summary>
internal sealed class SshCertificateFields
{
    public required string CertificateType { get; init; }

    public required SshPublicKey Key { get; init; }

    public required ulong Serial { get; init; }

    public required SshCertificateKind Kind { get; init; }

    public required string KeyId { get; init; }

    public required IReadOnlyList<string> Principals { get; init; }

    public required DateTimeOffset ValidAfter { get; init; }

    public required DateTimeOffset ValidBefore { get; init; }

    public required IReadOnlyDictionary<string, byte[]> CriticalOptions { get; init; }

    public required IReadOnlyDictionary<string, byte[]> Extensions { get; init; }

    public required SshPublicKey SignatureKey { get; init; }

    public required ReadOnlyMemory<byte> Blob { get; init; }

    public required int SignedLength { get; init; }

    public required ReadOnlyMemory<byte> Signature { get; init; }
}
