using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.Ssh;

/// <summary>The secret of an ssh-ed25519 key.</summary>
internal sealed class Ed25519KeyMaterial : SshKeyMaterial
{
    private readonly Ed25519PrivateKey _key;

    /// <summary>Takes over the key, which is disposed with this.</summary>
    public Ed25519KeyMaterial(Ed25519PrivateKey key)
    {
        _key = key;
        using var writer = new SshWriter();
        writer.WriteString(SshKeyTypes.Ed25519);
        writer.WriteString(key.PublicKey.Span);
        PublicKey = new Ed25519SshPublicKey(SshKeyTypes.Ed25519, writer.ToArray(), key.PublicKey.ToArray());
    }

    public override SshPublicKey PublicKey { get; }

    /// <summary>Reads string public key, string seed and public key.</summary>
    public static Ed25519KeyMaterial? Read(ref SshReader reader)
    {
        const int pairLength = Ed25519.SeedLength + Ed25519.PublicKeyLength;
        if (!reader.TryReadString(out ReadOnlySpan<byte> point) || !reader.TryReadString(out ReadOnlySpan<byte> pair) || pair.Length != pairLength) return null;
        var material = new Ed25519KeyMaterial(Ed25519PrivateKey.FromSeed(pair[..Ed25519.SeedLength]));
        ReadOnlySpan<byte> actual = material._key.PublicKey.Span;
        if (point.SequenceEqual(actual) && pair[Ed25519.SeedLength..].SequenceEqual(actual)) return material;
        material.Dispose();
        return null;
    }

    public override byte[] Sign(string algorithm, ReadOnlySpan<byte> data) => _key.Sign(data);

    public override void WriteFields(SshWriter writer)
    {
        Span<byte> pair = stackalloc byte[Ed25519.SeedLength + Ed25519.PublicKeyLength];
        _key.ExportSeed(pair);
        _key.PublicKey.Span.CopyTo(pair[Ed25519.SeedLength..]);
        writer.WriteString(_key.PublicKey.Span);
        writer.WriteString(pair);
        CryptographicOperations.ZeroMemory(pair);
    }

    public override void Dispose() => _key.Dispose();
}
