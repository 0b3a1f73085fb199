using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace Relay.Protocol.Ssh;

/// <summary>
/// A plain public key: Ed25519, ECDSA (P-256, P-384, P-521), RSA of 2048 to 8192 bits, or a FIDO key of the first two
/// kinds. Never a certificate (L21). Immutable, safe for concurrent use; equal when the blobs are.
/// </summary>
public abstract class SshPublicKey : IEquatable<SshPublicKey>
{
    /// <summary>
    /// Largest public key blob that is looked at, in bytes. RSA of 8192 bits needs 1,050; the rest is a FIDO key's
    /// application string.
    /// </summary>
    public const int MaximumBlobLength = 2048;

    private readonly byte[] _blob;

    private protected SshPublicKey(string keyType, byte[] blob)
    {
        KeyType = keyType;
        _blob = blob;
    }

    /// <summary>The type's name as in the blob, one of <see cref="SshKeyTypes"/>; <c>ssh-rsa</c> for RSA.</summary>
    public string KeyType { get; }

    /// <summary>The key as RFC 4253 §6.6 writes it: string type, then the type's fields.</summary>
    public ReadOnlyMemory<byte> Blob => _blob;

    /// <summary><c>SHA256:</c> and the unpadded base64 of the blob's SHA-256, as OpenSSH prints it.</summary>
    public string Fingerprint => field ??= "SHA256:" + Convert.ToBase64String(SHA256.HashData(_blob)).TrimEnd('=');

    /// <summary>What <see cref="Verify"/> accepts, best first: two names for RSA, else the key type.</summary>
    public abstract IReadOnlyList<string> SignatureAlgorithms { get; }

    /// <summary>
    /// Reads a key blob, all of it. False with the reason for a type that is not known, a certificate, a key of a size
    /// that is not accepted, a point off its curve, bytes left over.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> blob, [NotNullWhen(true)] out SshPublicKey? key, [NotNullWhen(false)] out string? error) =>
        SshPublicKeyParser.TryParse(blob, out key, out error);

    /// <summary>
    /// Reads one line as in a <c>.pub</c> file: type, base64, and an optional comment (empty when absent). Options
    /// before the type, as authorized_keys allows, are refused. False with the reason.
    /// </summary>
    public static bool TryParseLine(string line, [NotNullWhen(true)] out SshPublicKey? key, out string comment, [NotNullWhen(false)] out string? error)
    {
        key = null;
        return SshKeyLine.TrySplit(line, MaximumBlobLength, out string? type, out byte[]? blob, out comment, out error)
            && SshKeyLine.TryMatchType(type, blob, out error)
            && TryParse(blob, out key, out error);
    }

    /// <summary>
    /// True only when <paramref name="signatureBlob"/> (string algorithm, string signature, and for FIDO keys flags and
    /// counter) is this key's over <paramref name="data"/>, made with <paramref name="signatureAlgorithm"/>, which is
    /// one of <see cref="SignatureAlgorithms"/>. A FIDO signature counts only with the user-presence flag (L7).
    /// </summary>
    public bool Verify(string signatureAlgorithm, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signatureBlob)
    {
        if (!SignatureAlgorithms.Contains(signatureAlgorithm)) return false;
        var reader = new SshReader(signatureBlob);
        if (!reader.TryReadString(out ReadOnlySpan<byte> name) || !reader.TryReadString(out ReadOnlySpan<byte> signature)) return false;
        return SshKeyLine.IsAscii(name, signatureAlgorithm) && VerifySignature(signatureAlgorithm, data, signature, reader.Rest);
    }

    /// <summary>The key as one line: type, base64, and the comment unless it is null or empty.</summary>
    /// <exception cref="ArgumentException">The comment holds a control character, such as a line break.</exception>
    public string ToLine(string? comment = null) => SshKeyLine.Format(KeyType, _blob, comment);

    /// <inheritdoc/>
    public bool Equals(SshPublicKey? other) => other is not null && _blob.AsSpan().SequenceEqual(other._blob);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as SshPublicKey);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = new HashCode();
        hash.AddBytes(_blob);
        return hash.ToHashCode();
    }

    /// <summary>Type and fingerprint, for logs.</summary>
    public override string ToString() => $"{KeyType} {Fingerprint}";

    /// <summary>Verifies the signature proper; <paramref name="rest"/> is what follows it in the blob and must be what the type says (mostly: empty).</summary>
    private protected abstract bool VerifySignature(string algorithm, ReadOnlySpan<byte> data, ReadOnlySpan<byte> signature, ReadOnlySpan<byte> rest);
}
