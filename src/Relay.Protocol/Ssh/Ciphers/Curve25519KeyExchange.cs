using Relay.Protocol.Crypto;

namespace Relay.Protocol.Ssh;

/// <summary>curve25519-sha256, RFC 8731: values of another length than 32 and all-zero secrets are refused (§3).</summary>
internal sealed class Curve25519KeyExchange : SshKeyExchange
{
    private readonly X25519PrivateKey _key = X25519PrivateKey.Generate();

    public override ReadOnlyMemory<byte> PublicValue => _key.PublicKey;

    public override void Dispose() => _key.Dispose();

    protected override bool TryAgree(ReadOnlySpan<byte> peer, Span<byte> secret) => _key.TryDerive(peer, secret);
}
