using Relay.Protocol.Crypto;

namespace Relay.Protocol.Ssh;

/// <summary>ssh-ed25519, RFC 8709: the signature is the 64 bytes of RFC 8032.</summary>
internal sealed class Ed25519SshPublicKey(string keyType, byte[] blob, byte[] point) : SshPublicKey(keyType, blob)
{
    public override IReadOnlyList<string> SignatureAlgorithms { get; } = [keyType];

    /// <summary>The signature proper, without the framing; used by FIDO keys too.</summary>
    public bool VerifyRaw(ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature) => Ed25519.Verify(point, data, signature);

    private protected override bool VerifySignature(string algorithm, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature, ReadOnlySpan<byte> rest) =>
        rest.IsEmpty && VerifyRaw(data, signature);
}
