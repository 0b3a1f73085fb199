using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>ecdh-sha2-nistp256, RFC 5656 §4: the peer's point must be uncompressed and on the curve.</summary>
internal sealed class EcdhKeyExchange : SshKeyExchange
{
    private readonly ECDiffieHellman _key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
    private readonly byte[] _publicValue;

    public EcdhKeyExchange() => _publicValue = EcdsaCurve.Point(_key.ExportParameters(includePrivateParameters: false));

    public override ReadOnlyMemory<byte> PublicValue => _publicValue;

    public override void Dispose() => _key.Dispose();

    protected override bool TryAgree(ReadOnlySpan<byte> peer, Span<byte> secret)
    {
        // SECURITY: a point off the curve would leak the key bit by bit (invalid-curve attack).
        if (!EcdsaCurve.P256.IsOnCurve(peer)) return false;
        using ECDiffieHellman other = ECDiffieHellman.Create(EcdsaCurve.P256.Parameters(peer));
        using ECDiffieHellmanPublicKey publicKey = other.PublicKey;
        byte[] raw = _key.DeriveRawSecretAgreement(publicKey);
        raw.CopyTo(secret);
        CryptographicOperations.ZeroMemory(raw);
        return true;
    }
}
