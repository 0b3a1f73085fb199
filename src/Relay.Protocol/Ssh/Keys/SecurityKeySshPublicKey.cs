using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>
/// A key kept in a FIDO token (OpenSSH PROTOCOL.u2f). The token signs the hashes of application and data with a flags
/// byte and a counter between. The counter is not kept, as in OpenSSH.
/// </summary>
internal sealed class SecurityKeySshPublicKey : SshPublicKey
{
    /// <summary>FIDO authenticator data, bit 0 of the flags: somebody touched the token.</summary>
    public const byte UserPresent = 0x01;

    private readonly SshPublicKey _inner;
    private readonly byte[] _applicationHash;

    public SecurityKeySshPublicKey(string keyType, byte[] blob, SshPublicKey inner, ReadOnlySpan<byte> application)
        : base(keyType, blob)
    {
        _inner = inner;
        _applicationHash = SHA256.HashData(application);
        SignatureAlgorithms = [keyType];
    }

    public override IReadOnlyList<string> SignatureAlgorithms { get; }

    private protected override bool VerifySignature(string algorithm, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature, ReadOnlySpan<byte> rest)
    {
        var reader = new SshReader(rest);
        if (!reader.TryReadByte(out byte flags) || !reader.TryReadUInt32(out uint counter) || !reader.IsAtEnd) return false;

        // SECURITY: without this any program that reaches the token signs unseen (L7).
        if ((flags & UserPresent) == 0) return false;

        // SHA-256(application) || flags || counter || SHA-256(data)
        const int hash = SHA256.HashSizeInBytes;
        Span<byte> signed = stackalloc byte[hash + 1 + sizeof(uint) + hash];
        _applicationHash.CopyTo(signed);
        signed[hash] = flags;
        BinaryPrimitives.WriteUInt32BigEndian(signed[(hash + 1)..], counter);
        SHA256.HashData(data, signed[(hash + 1 + sizeof(uint))..]);
        return _inner is Ed25519SshPublicKey ed25519 ? ed25519.VerifyRaw(signed, signature) : ((EcdsaSshPublicKey)_inner).VerifyRaw(signed, signature);
    }
}
